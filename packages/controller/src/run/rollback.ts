import { StillpointError } from '@stillpoint/shared/errors';
import type { RestoreReport, RunOptions } from '../api.ts';
import type { ControllerContext } from '../context.ts';
import { journaledTask } from './journaled-task.ts';
import { type Endings, runOperation, withNodes } from './operation.ts';
import { runPhase } from './phase.ts';
import { restoreReport } from './restore-report.ts';
import { type RestoreRun, restoredAgents, restoreRecord, wasBegun } from './restore-run.ts';
import { rollbackNode, stopSwitched } from './undo.ts';

/**
 * Brings back on every node what was there before a restore, however far it had come: staged data is thrown away, switched
 * data switched back, and servers that the restore stopped or replaced run again. Throws OPERATION_NOT_FOUND,
 * NOTHING_TO_ROLL_BACK.
 */
export function rollbackRestore(context: ControllerContext, operationId: string, options: RunOptions): Promise<RestoreReport> {
  const failure: Endings['failure'] = ({ code }) =>
    code === 'NOTHING_TO_ROLL_BACK' ? 'switched' : code === 'CANCELLED' ? 'interrupted' : 'failed';
  const endings: Endings = { success: 'rolled-back', failure };
  return settle(context, operationId, options, endings, async (run, signal) => {
    if (run.operation.steps.all().some(({ step }) => step === 'finish')) {
      throw new StillpointError('NOTHING_TO_ROLL_BACK', `the old data of ${operationId} was discarded, at least in part`);
    }
    await goBack(run, signal);
  });
}

/**
 * Nobody may replicate across the rollback: old data from a primary that still runs on restored data would diverge without a word, as
 * both count from the same GTID. So all servers stand before the first one is started again, and sources are started before
 * those that follow them.
 */
async function goBack(run: RestoreRun, signal: AbortSignal): Promise<void> {
  const { operation, plan } = run;
  const switched = plan.nodes.filter(({ node }) => wasBegun(run, 'switch', node));
  const followers = plan.nodes.filter(({ replicateFrom }) => replicateFrom !== undefined);
  const sources = plan.nodes.filter((node) => !followers.includes(node));
  const inOrder = [
    { phase: 'rollback-stop', nodes: switched, work: stopSwitched },
    { phase: 'rollback', nodes: sources, work: rollbackNode },
    { phase: 'rollback-replicas', nodes: followers, work: rollbackNode },
  ];
  for (const { phase, nodes, work } of inOrder) {
    if (nodes.length === 0) continue;
    const steps = nodes.map(({ node }) => ({ kind: phase === 'rollback-stop' ? phase : 'rollback', node }));
    await runPhase(operation, { phase, steps }, undefined, ({ node }) => work(run, node, signal));
  }
}

/** Discards what was there before a restore that is switched. Throws OPERATION_NOT_FOUND, RESTORE_REFUSED, NOTHING_TO_ROLL_BACK. */
export function finishRestore(context: ControllerContext, operationId: string, options: RunOptions): Promise<RestoreReport> {
  context.store.journal.settleDead();
  const { state } = restoreRecord(context, operationId);
  if (state === 'failed' || state === 'interrupted') {
    throw new StillpointError('RESTORE_REFUSED', `${operationId} is ${state}: the old data may yet be needed`, {
      hint: `Complete it with \`stillpoint restore resume ${operationId}\`, or go back with \`restore rollback\`.`,
    });
  }
  return settle(context, operationId, options, { success: 'finished', failure: () => 'switched' }, async (run, signal) => {
    const steps = run.plan.nodes.map(({ node }) => ({ kind: 'finish', node }));
    await runPhase(run.operation, { phase: 'finish', steps }, undefined, async ({ node }) => {
      await journaledTask(run.operation, run.agents.get(node), 'finish', signal, async () => ({ task: { case: 'finish', value: {} } }));
    });
  });
}

/** Reopens a restore that is not settled, and brings it to its end. */
function settle(
  context: ControllerContext,
  operationId: string,
  options: RunOptions,
  endings: Endings,
  work: (run: RestoreRun, signal: AbortSignal) => Promise<void>,
): Promise<RestoreReport> {
  const { agents, clock, config, store } = context;
  const begunAt = clock.monotonicMs();
  store.journal.settleDead();
  const { planId, state } = restoreRecord(context, operationId);
  if (state === 'rolled-back' || state === 'finished') throw new StillpointError('NOTHING_TO_ROLL_BACK', `${operationId} is ${state}`);
  const plan = store.plans.get(planId);
  const record = store.journal.reopen(operationId);
  return runOperation(context, record, options, endings, async (operation) => {
    const run: RestoreRun = { operation, agents, settings: config.restore, plan };
    await withNodes(context, operation, restoredAgents(agents, plan), (signal) => work(run, signal));
    return restoreReport(run, endings.success === 'finished' ? 'finished' : 'rolled-back', clock.monotonicMs() - begunAt);
  });
}
