import { type ErrorCode, StillpointError } from '@stillpoint/shared/errors';
import { abortReason } from '../agents/scope.ts';
import type { RestoreReport, RestoreRunOptions, SettleOptions } from '../api.ts';
import type { ControllerContext } from '../context.ts';
import type { JournalState, OperationRecord } from '../journal/journal.ts';
import type { StepRecord } from '../journal/steps.ts';
import { changesSince } from '../plan/changes.ts';
import type { EngineNode } from '../plan/engine.ts';
import type { RestorePlan } from '../plan/restore.ts';
import { phasesBeforeBarrier, phasesBehindBarrier, type RestorePhase } from '../plan/restore-phases.ts';
import { isAdopted } from './adopt.ts';
import { proveEngine, runningEngines, startEngine, stopEngine } from './engine.ts';
import { requireUnmovedEngine } from './engine-unmoved.ts';
import { cancelInDoubt } from './journaled-task.ts';
import { type Endings, type Operation, runOperation, withNodes } from './operation.ts';
import { insteadOfResuming } from './restore-hint.ts';
import { runRestorePhase } from './restore-phase.ts';
import { replan } from './restore-plan.ts';
import { restoreReport } from './restore-report.ts';
import { factsByNode, involvedAgents, isDone, leaveOut, type RestoreRun, recordedSteps, restoreRecord, wasBegun } from './restore-run.ts';
import { isComplete, isEngineTouched, isUndone, modulesOf } from './restore-stand.ts';
import { discardStaged } from './undo.ts';

/** Failures before the switch that no resuming mends: what was staged is thrown away at once. */
const HOPELESS: readonly ErrorCode[] = [
  'MANIFEST_INVALID',
  'PART_CORRUPT',
  'PROOF_FAILED',
  'PART_NOT_FOUND',
  'SET_NOT_FOUND',
  'DISK_FULL',
  'SPACE_SHORT',
];

/**
 * Carries out a plan. Until every node has staged and proven its image and every server stands, live data is untouched.
 * Throws PLAN_NOT_FOUND, RESTORE_REFUSED, PLAN_STALE, SERVER_RUNNING and ENGINE_RUNNING before anything was begun; later failures, PLAN_STALE among them
 * when dbroots were moved while images were staged, leave a restore that can be resumed or rolled back.
 */
export function runRestore(context: ControllerContext, planId: string, options: RestoreRunOptions): Promise<RestoreReport> {
  const { store } = context;
  const plan = store.plans.get(planId);
  refuseSecondRun(context, planId);
  refuseProblems(plan);
  const record = store.journal.begin({ kind: 'restore', setId: plan.setId, planId, nodes: plan.nodes.map(({ node }) => node) });
  return carryOut(context, record, plan, plan, options, async (_, signal) => {
    const changes = changesSince(plan, await replan(context, plan, signal));
    if (changes.length > 0) throw new StillpointError('PLAN_STALE', `since plan ${planId} was made: ${changes.join('; ')}`);
  });
}

/** Goes on with a restore that failed, left nodes out, or whose controller died. Throws OPERATION_NOT_FOUND, RESTORE_REFUSED, or what `runRestore` does. */
export function resumeRestore(
  context: ControllerContext,
  operationId: string,
  options: RestoreRunOptions & SettleOptions,
): Promise<RestoreReport> {
  const { store } = context;
  store.journal.settleDead();
  const before = restoreRecord(context, operationId);
  const { planId, state } = before;
  const whole = store.plans.get(planId);
  const steps = recordedSteps(context, operationId);
  const complete = state === 'switched' && isComplete(steps, whole);
  if (state === 'refused' || state === 'rolled-back' || state === 'finished' || complete) {
    throw new StillpointError('RESTORE_REFUSED', `${operationId} is ${state}; there is nothing to resume`, {
      hint: insteadOfResuming(operationId, state),
    });
  }
  if (isAdopted(whole)) {
    throw new StillpointError('RESTORE_REFUSED', `what ${operationId} was to restore is not known any more: its record was lost`, {
      hint: `Go back with \`stillpoint restore rollback ${operationId}\`, and make a new plan.`,
    });
  }
  const plan = leaveOut(whole, options.without ?? []);
  refuseHalfEngine(steps, whole, plan);
  const record = store.journal.reopen(operationId);
  return carryOut(context, record, plan, whole, options, requireUnmovedEngine, before);
}

function carryOut(
  context: ControllerContext,
  record: OperationRecord,
  plan: RestorePlan,
  whole: RestorePlan,
  options: RestoreRunOptions & SettleOptions,
  precondition: (run: RestoreRun, signal: AbortSignal) => Promise<void>,
  before?: OperationRecord,
): Promise<RestoreReport> {
  const { agents, clock, config } = context;
  const begunAt = clock.monotonicMs();
  let run: RestoreRun | undefined;
  const endings: Endings = {
    success: 'switched',
    failure: (error) => restingState(run, error),
    ...(before === undefined ? {} : { before }),
  };
  return runOperation(context, record, options, endings, async (operation: Operation) => {
    const restore: RestoreRun = { operation, agents, settings: config.restore, plan, whole, leftOut: options.without ?? [] };
    run = restore;
    refuseAfterRollback(restore);
    await withNodes(context, operation, involvedAgents(restore), async (signal) => {
      await precondition(restore, signal);
      await beforeBarrier(restore, options.stopServers, signal);
      await behindBarrier(restore, signal);
    });
    return restoreReport(restore, 'switched', clock.monotonicMs() - begunAt);
  });
}

/** Staged, proven, stopped on every node, or nothing is touched. */
async function beforeBarrier(run: RestoreRun, stopServers: boolean, signal: AbortSignal): Promise<void> {
  const { plan } = run;
  await forgetLostStages(run, signal);
  if (!stopServers) await refuseRunning(run, signal);
  try {
    for (const phase of phasesBeforeBarrier(plan)) await runRestorePhase(run, unswitched(run, phase), signal);
  } catch (error) {
    const hopeless = error instanceof StillpointError && HOPELESS.includes(error.code);
    if (hopeless && !plan.nodes.some(({ node }) => wasBegun(run, 'switch', node))) await discardStaged(run);
    throw error;
  }
  // Staging takes long: a server may have been started meanwhile.
  if (!stopServers) await refuseRunning(run, signal);
  if ((await runningEngines(run, signal)).length > 0) await stopEngine(run, signal);
  await stopServersThatRun(run, signal);
  // Only now that nothing runs can nothing move any more.
  await requireUnmovedEngine(run, signal);
}

async function stopServersThatRun(run: RestoreRun, signal: AbortSignal): Promise<void> {
  const running = await runningServers(run, signal);
  for (const node of running) if (isDone(run, 'stop', node)) run.operation.steps.failed('stop', node, 'it was started again');
  await runRestorePhase(run, { phase: 'stop', steps: running.map((node) => ({ kind: 'stop', node })) }, signal);
}

/** A switch is short and not to be interrupted: half of a cluster switched helps nobody. */
async function behindBarrier(run: RestoreRun, signal: AbortSignal): Promise<void> {
  const undisturbed = new AbortController().signal;
  for (const phase of phasesBehindBarrier(run.plan)) {
    if (signal.aborted) throw abortReason(signal);
    await runRestorePhase(run, phase, phase.phase === 'switch' ? undisturbed : signal);
  }
  await startEngine(run, signal);
  await proveEngine(run, signal);
}

const unswitched = (run: RestoreRun, { phase, steps }: RestorePhase): RestorePhase => ({
  phase,
  steps: steps.filter(({ node }) => !isDone(run, 'switch', node)),
});

/** Servers that run on data which is yet to be replaced. */
async function runningServers(run: RestoreRun, signal: AbortSignal): Promise<string[]> {
  const facts = await factsByNode(run, signal);
  return run.plan.nodes
    .map(({ node }) => node)
    .filter((node) => facts.get(node)?.mariadb?.running === true && !isDone(run, 'switch', node));
}

async function refuseRunning(run: RestoreRun, signal: AbortSignal): Promise<void> {
  const servers = await runningServers(run, signal);
  const engines = await runningEngines(run, signal);
  const told = servers.length === 0 ? [] : [`the server runs on ${servers.join(', ')}`];
  if (engines.length > 0) {
    const programs = ({ engine: { processes } }: EngineNode): string =>
      [...new Set(processes.filter(({ pid }) => pid !== 0).map(({ name }) => name))].join(', ');
    const on = engines.map((each) => `${each.node} (${programs(each)})`).join(', ');
    throw new StillpointError('ENGINE_RUNNING', [`the engine runs on ${on}`, ...told].join('; '));
  }
  if (told.length > 0) throw new StillpointError('SERVER_RUNNING', told.join());
}

/** Its dbroots are one image: an engine cannot go on without a node of it; nor can what was begun on it be left as it is. */
function refuseHalfEngine(steps: readonly StepRecord[], whole: RestorePlan, { nodes }: RestorePlan): void {
  const modules = modulesOf(whole).map(({ node }) => node);
  const missing = modules.filter((module) => !nodes.some(({ node }) => node === module));
  if (missing.length === 0 || (missing.length === modules.length && !isEngineTouched(steps, whole))) return;
  throw new StillpointError('RESTORE_REFUSED', `the engine of ${modules.join(', ')} cannot be restored without ${missing.join(', ')}`, {
    hint: `Bring ${missing.join(', ')} back; or go back with \`stillpoint restore rollback\`, which can leave nodes out.`,
  });
}

/**
 * What the journal has as staged, or as in doubt, but the node does not know any more, is staged again. Another restore's
 * traces are refused.
 */
async function forgetLostStages(run: RestoreRun, signal: AbortSignal): Promise<void> {
  const { agents, operation } = run;
  for (const [node, { unfinishedRestore }] of await factsByNode(run, signal)) {
    if (unfinishedRestore !== '' && unfinishedRestore !== operation.id) {
      throw new StillpointError('RESTORE_UNFINISHED', `${node}: ${unfinishedRestore} was neither finished nor rolled back`, { node });
    }
    if (unfinishedRestore !== '' || !wasBegun(run, 'stage', node) || wasBegun(run, 'switch', node)) continue;
    await cancelInDoubt(operation, agents.get(node));
    operation.steps.failed('stage', node, 'no longer there');
  }
}

/** A plan confirms one restore: what it replaces was looked at, by whoever confirmed it, before that one. */
function refuseSecondRun(context: ControllerContext, planId: string): void {
  const used = context.store.journal
    .list('restore')
    .find((one) => one.planId === planId && recordedSteps(context, one.id).some(({ step, node }) => step === 'stage' && node !== ''));
  if (used === undefined) return;
  throw new StillpointError('PLAN_STALE', `plan ${planId} was carried out by ${used.id}`, {
    hint: `Go on with \`stillpoint restore resume ${used.id}\` if that was not completed; else make a new plan.`,
  });
}

function refuseProblems(plan: RestorePlan): void {
  if (plan.problems.length === 0) return;
  const told = plan.problems.map(({ node, message }) => `${node}: ${message}`).join('; ');
  throw new StillpointError('RESTORE_REFUSED', `plan ${plan.id} cannot be run: ${told}`, {
    hint: [...new Set(plan.problems.map(({ hint }) => hint))].join(' '),
  });
}

function refuseAfterRollback({ operation }: RestoreRun): void {
  // Its first phase stops the servers: from then on a resume would call a restore complete whose servers are down.
  if (!operation.steps.all().some(({ step }) => step.startsWith('rollback'))) return;
  throw new StillpointError('RESTORE_REFUSED', `the rollback of ${operation.id} was begun`, {
    hint: `Complete it with \`stillpoint restore rollback ${operation.id}\`.`,
  });
}

/** A restore that has touched no node (check journals nothing there), or was undone everywhere, has nothing to resume. */
function restingState(run: RestoreRun | undefined, error: StillpointError): JournalState {
  const steps = run?.operation.steps.all() ?? [];
  if (steps.every(({ node }) => node === '')) return 'refused';
  if (isUndone(steps)) return 'rolled-back';
  return error.code === 'CANCELLED' ? 'interrupted' : 'failed';
}
