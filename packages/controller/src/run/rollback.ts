import { StillpointError } from '@stillpoint/shared/errors';
import type { RestoreReport, RestoreState, RunOptions } from '../api.ts';
import type { ControllerContext } from '../context.ts';
import type { OperationRecord } from '../journal/journal.ts';
import type { StepRecord } from '../journal/steps.ts';
import { journaledTask } from './journaled-task.ts';
import { type Endings, runOperation, withNodes } from './operation.ts';
import { runPhase } from './phase.ts';
import { restoreReport } from './restore-report.ts';
import { isUndone, type RestoreRun, recordedSteps, restoredAgents, restoreRecord, wasBegun } from './restore-run.ts';
import { rollbackNode, stopSwitched } from './undo.ts';

/**
 * Brings back on every node what was there before a restore, however far it had come: staged data is thrown away, switched
 * data switched back, and servers that the restore stopped or replaced run again. Throws OPERATION_NOT_FOUND,
 * NOTHING_TO_ROLL_BACK.
 */
export function rollbackRestore(context: ControllerContext, operationId: string, options: RunOptions): Promise<RestoreReport> {
  const { state } = settledRecord(context, operationId);
  if (state === 'rolled-back' || state === 'finished') throw new StillpointError('NOTHING_TO_ROLL_BACK', `${operationId} is ${state}`);
  if (wasEnded(recordedSteps(context, operationId), 'finish')) {
    throw new StillpointError('NOTHING_TO_ROLL_BACK', `the old data of ${operationId} was discarded, at least in part`);
  }
  const failure: Endings['failure'] = ({ code }) => {
    if (!wasEnded(recordedSteps(context, operationId), 'rollback')) return state;
    return code === 'CANCELLED' ? 'interrupted' : 'failed';
  };
  return settle(context, operationId, options, { success: 'rolled-back', failure }, goBack);
}

type RestoreEndings = Endings & { readonly success: RestoreState };

/** True once nodes were about to finish, or to roll back. */
const wasEnded = (steps: readonly StepRecord[], how: 'finish' | 'rollback'): boolean => steps.some(({ step }) => step.startsWith(how));

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

/**
 * Discards what a restore left aside: what was there before one that is switched; the restored data of one that was rolled
 * back, which stays so. Throws OPERATION_NOT_FOUND, RESTORE_REFUSED, NOTHING_TO_ROLL_BACK.
 */
export function finishRestore(context: ControllerContext, operationId: string, options: RunOptions): Promise<RestoreReport> {
  const { state } = settledRecord(context, operationId);
  const steps = recordedSteps(context, operationId);
  if (state === 'finished') throw new StillpointError('NOTHING_TO_ROLL_BACK', `${operationId} is ${state}`);
  if ((state === 'failed' || state === 'interrupted') && !wasEnded(steps, 'finish')) {
    throw new StillpointError('RESTORE_REFUSED', `${operationId} is ${state}: the old data may yet be needed`, {
      hint: `Complete it with \`stillpoint restore resume ${operationId}\`, or go back with \`restore rollback\`.`,
    });
  }
  const endings: RestoreEndings =
    state === 'rolled-back' || isUndone(steps)
      ? { success: 'rolled-back', failure: () => 'rolled-back' }
      : { success: 'finished', failure: () => 'switched' };
  return settle(context, operationId, options, endings, async (run, signal) => {
    const nodes = run.plan.nodes.map(({ node }) => ({ kind: 'finish', node }));
    await runPhase(run.operation, { phase: 'finish', steps: nodes }, undefined, async ({ node }) => {
      await journaledTask(run.operation, run.agents.get(node), 'finish', signal, async () => ({ task: { case: 'finish', value: {} } }));
    });
  });
}

/** A restore, once those whose controller died are known as interrupted. Throws OPERATION_NOT_FOUND. */
function settledRecord(context: ControllerContext, operationId: string): OperationRecord {
  context.store.journal.settleDead();
  return restoreRecord(context, operationId);
}

/** Reopens a restore, and brings it to its end. */
function settle(
  context: ControllerContext,
  operationId: string,
  options: RunOptions,
  endings: RestoreEndings,
  work: (run: RestoreRun, signal: AbortSignal) => Promise<void>,
): Promise<RestoreReport> {
  const { agents, clock, config, store } = context;
  const begunAt = clock.monotonicMs();
  const plan = store.plans.get(restoreRecord(context, operationId).planId);
  const record = store.journal.reopen(operationId);
  return runOperation(context, record, options, endings, async (operation) => {
    const run: RestoreRun = { operation, agents, settings: config.restore, plan };
    await withNodes(context, operation, restoredAgents(agents, plan), (signal) => work(run, signal));
    return restoreReport(run, endings.success, clock.monotonicMs() - begunAt);
  });
}
