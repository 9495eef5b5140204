import { StillpointError } from '@stillpoint/shared/errors';
import type { RestoreReport, RestoreState, SettleOptions } from '../api.ts';
import type { ControllerContext } from '../context.ts';
import type { JournalState, OperationRecord } from '../journal/journal.ts';
import type { StepRecord } from '../journal/steps.ts';
import type { RestorePlan } from '../plan/restore.ts';
import { adoptUnknown } from './adopt.ts';
import { startTouchedEngine, stopTouchedEngine } from './engine-rollback.ts';
import { journaledTask } from './journaled-task.ts';
import { type Endings, runOperation, withNodes } from './operation.ts';
import { runPhase } from './phase.ts';
import { restoreReport } from './restore-report.ts';
import { leaveOut, type RestoreRun, recordedSteps, restoredAgents, restoreRecord, wasBegun } from './restore-run.ts';
import { isEngineBack, isEngineTouched, isUndone, modulesOf, type NodeStand, nodeStand } from './restore-stand.ts';
import { rollbackNode, stopSwitched } from './undo.ts';

/**
 * Brings back on every node what was there before a restore, however far it had come: staged data is thrown away, switched
 * data switched back, and servers that the restore stopped or replaced run again. Throws OPERATION_NOT_FOUND,
 * NOTHING_TO_ROLL_BACK.
 */
export async function rollbackRestore(context: ControllerContext, operationId: string, options: SettleOptions): Promise<RestoreReport> {
  await adoptUnknown(context, operationId, options);
  const before = settledRecord(context, operationId);
  const { state } = before;
  refuseDiscarded(context, operationId, options);
  const failure: Endings['failure'] = ({ code }) => (code === 'CANCELLED' ? 'interrupted' : 'failed');
  const success = state === 'finished' ? state : 'rolled-back';
  return settle(context, operationId, options, { success, failure, before, told: 'rolled-back' }, goBack);
}

const NOTHING_OF_IT = 'The nodes are as they were before it; there is nothing to do.';

/** Throws NOTHING_TO_ROLL_BACK when nodes that take part have nothing to go back to, or all are back. */
function refuseDiscarded(context: ControllerContext, operationId: string, { without = [] }: SettleOptions): void {
  const { planId, state } = restoreRecord(context, operationId);
  const steps = recordedSteps(context, operationId);
  const plan = leaveOut(context.store.plans.get(planId), without);
  const stands = plan.nodes.map(({ node }) => nodeStand(steps, plan, node));
  const isOver = state === 'refused' || state === 'finished' || (state === 'rolled-back' && isEngineBack(steps));
  if (isOver && stands.every(({ discarding, undone }) => discarding || undone)) {
    throw new StillpointError('NOTHING_TO_ROLL_BACK', `${operationId} is ${state}`, state === 'finished' ? {} : { hint: NOTHING_OF_IT });
  }
  const discarded = stands.filter(({ discarding, undone }) => discarding && !undone);
  if (discarded.length === 0) return;
  const names = discarded.map(({ node }) => node).join(', ');
  throw new StillpointError('NOTHING_TO_ROLL_BACK', `the old data of ${operationId} was discarded, at least in part, on ${names}`);
}

/** How a restore rests, and what its report says of the nodes that took part. */
type RestoreEndings = Endings & { readonly told: RestoreState };

/**
 * Nobody may replicate across the rollback: old data from a primary that still runs on restored data would diverge without a word, as
 * both count from the same GTID. So all servers stand before the first one is started again, and sources are started before
 * those that follow them. The engine stands before any of its data moves, and is started once all of it is back.
 */
async function goBack(run: RestoreRun, signal: AbortSignal): Promise<void> {
  const { operation, plan } = run;
  await stopTouchedEngine(run, signal);
  const switched = plan.nodes.filter(({ image, node }) => image !== '' && wasBegun(run, 'switch', node));
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
  await startTouchedEngine(run, signal);
}

/**
 * Discards what a restore left aside: what was there before one that is switched; the restored data of one that was rolled
 * back, which stays so. Throws OPERATION_NOT_FOUND, RESTORE_REFUSED, NOTHING_TO_ROLL_BACK.
 */
export async function finishRestore(context: ControllerContext, operationId: string, options: SettleOptions): Promise<RestoreReport> {
  await adoptUnknown(context, operationId, options);
  const before = settledRecord(context, operationId);
  const { planId, state } = before;
  if (state === 'refused') throw new StillpointError('NOTHING_TO_ROLL_BACK', `${operationId} is ${state}`, { hint: NOTHING_OF_IT });
  const steps = recordedSteps(context, operationId);
  const whole = context.store.plans.get(planId);
  const plan = leaveOut(whole, options.without ?? []);
  const stands = plan.nodes.map(({ node }) => nodeStand(steps, plan, node));
  if (state === 'finished' && stands.every(({ finished }) => finished)) {
    throw new StillpointError('NOTHING_TO_ROLL_BACK', `${operationId} is finished already; there is nothing to do`, {
      hint: 'What it kept aside is freed.',
    });
  }
  const undone = state === 'rolled-back' || isUndone(steps);
  const why = undone ? notUndone(stands) : notComplete(steps, whole, stands);
  const isOpen = (state === 'failed' || state === 'interrupted') && !steps.some(({ step }) => step === 'finish');
  if (isOpen || why !== '') {
    const because = why === '' ? '' : ` ${why}, and`;
    throw new StillpointError('RESTORE_REFUSED', `${operationId} is ${state}:${because} the old data may yet be needed`, {
      hint: `Complete it with \`stillpoint restore resume ${operationId}\`, or go back with \`restore rollback\`.`,
    });
  }
  const endings = { ...finishEndings(state, undone), before };
  return settle(context, operationId, options, endings, async (run, signal) => {
    const nodes = run.plan.nodes.map(({ node }) => ({ kind: 'finish', node }));
    await runPhase(run.operation, { phase: 'finish', steps: nodes }, undefined, async ({ node }) => {
      await journaledTask(run.operation, run.agents.get(node), 'finish', signal, async () => ({ task: { case: 'finish', value: {} } }));
    });
  });
}

/** Where what a rollback was to bring back is not back; empty when it is everywhere. */
const notUndone = (stands: readonly NodeStand[]): string =>
  stands.flatMap(({ node, undone }) => (undone ? [] : [`${node} is not`])).join(', ');

/**
 * What a restore lacks before its old data may go; empty when nothing. The dbroots of an engine are one image with its servers: what is left out
 * now counts as well, if the engine was touched.
 */
function notComplete(steps: readonly StepRecord[], whole: RestorePlan, stands: readonly NodeStand[]): string {
  const modules = isEngineTouched(steps, whole) ? modulesOf(whole).map(({ node }) => nodeStand(steps, whole, node)) : [];
  const open = [...stands, ...modules].filter(({ discarding, missing }) => !discarding && missing.length > 0);
  return [...new Set(open.map(({ missing, node }) => `${node} lacks ${missing.join(', ')}`))].join('; ');
}

function finishEndings(state: JournalState, undone: boolean): RestoreEndings {
  if (undone) return { success: 'rolled-back', failure: () => 'rolled-back', told: 'rolled-back' };
  return { success: 'finished', failure: () => (state === 'finished' ? state : 'switched'), told: 'finished' };
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
  options: SettleOptions,
  endings: RestoreEndings,
  work: (run: RestoreRun, signal: AbortSignal) => Promise<void>,
): Promise<RestoreReport> {
  const { agents, clock, config, store } = context;
  const begunAt = clock.monotonicMs();
  const leftOut = options.without ?? [];
  const whole = store.plans.get(restoreRecord(context, operationId).planId);
  const plan = leaveOut(whole, leftOut);
  const record = store.journal.reopen(operationId);
  return runOperation(context, record, options, endings, async (operation) => {
    const run: RestoreRun = { operation, agents, settings: config.restore, plan, whole, leftOut };
    await withNodes(context, operation, restoredAgents(agents, plan), (signal) => work(run, signal));
    return restoreReport(run, endings.told, clock.monotonicMs() - begunAt);
  });
}
