import { StillpointError } from '@stillpoint/shared/errors';
import { withClaims } from '../agents/claims.ts';
import type { RestoreReport, RunOptions } from '../api.ts';
import type { ControllerContext } from '../context.ts';
import { journaledTask } from './journaled-task.ts';
import { type Endings, runOperation } from './operation.ts';
import { runPhase } from './phase.ts';
import { restoreReport } from './restore-report.ts';
import { type RestoreRun, restoredAgents, restoreRecord } from './restore-run.ts';
import { rollbackNode } from './undo.ts';

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
    await runPhase(run.operation, phaseOf(run, 'rollback'), undefined, ({ node }) => rollbackNode(run, node, signal));
  });
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
    await runPhase(run.operation, phaseOf(run, 'finish'), undefined, async ({ node }) => {
      await journaledTask(run.operation, run.agents.get(node), 'finish', signal, async () => ({ task: { case: 'finish', value: {} } }));
    });
  });
}

const phaseOf = ({ plan }: RestoreRun, kind: string) => ({ phase: kind, steps: plan.nodes.map(({ node }) => ({ kind, node })) });

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
    await withClaims(restoredAgents(agents, plan), operation.claimant, operation, (signal) => work(run, signal));
    return restoreReport(run, endings.success === 'finished' ? 'finished' : 'rolled-back', clock.monotonicMs() - begunAt);
  });
}
