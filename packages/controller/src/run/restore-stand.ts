import type { StepRecord } from '../journal/steps.ts';
import type { PlannedNode, RestorePlan } from '../plan/restore.ts';
import { phasesBehindBarrier, proofPhases, type RestorePhase } from '../plan/restore-phases.ts';
import { stepName } from '../plan/steps.ts';

/** What is true of one node in a restore, as far as the journal knows. */
export interface NodeStand {
  readonly node: string;
  /** Steps that are yet to be done before it runs on restored data, as planned: those of the engine and its proof among them. */
  readonly missing: readonly string[];
  /** What was there before is back, or never went; what a rollback has set aside may be there. */
  readonly undone: boolean;
  /** Something of the restore was here, and what was there before is back. */
  readonly back: boolean;
  /** Discarding of what lay aside was begun. */
  readonly discarding: boolean;
  /** What lay aside is discarded. */
  readonly finished: boolean;
}

/**
 * Step of the cluster that a rollback journals before it stops the engine, or brings its data back, and ends once the engine is where it was:
 * running, where there was something to run on.
 */
export const ENGINE_BACK = 'rollback-engine';

/** How a node of a restore stands. Pure. */
export function nodeStand(steps: readonly StepRecord[], plan: RestorePlan, node: string): NodeStand {
  const own = steps.filter((one) => one.node === node);
  const isDone = (step: string): boolean => own.some((one) => one.step === step && one.state === 'succeeded');
  const came = own.some(({ step }) => step === 'stage');
  const undone = !came || isDone('rollback');
  return {
    node,
    missing: plannedSteps(plan, node).filter((step) => !(step === ANY_STAGE ? isEngineStarted(own) : isDone(step))),
    undone,
    back: came && undone,
    discarding: own.some(({ step }) => step === 'finish'),
    finished: isDone('finish'),
  };
}

/** Stands for the stages of an engine, which are known only once its configuration is in place. */
const ANY_STAGE = 'start-engine';

/** Names of the steps behind the barrier on a node. */
function plannedSteps(plan: RestorePlan, node: string): string[] {
  const named = (phases: readonly RestorePhase[]): string[] =>
    phases.flatMap(({ steps }) => steps.flatMap((step) => (step.node === node ? [stepName(step)] : [])));
  const isModule = modulesOf(plan).some((module) => module.node === node);
  return [...named(phasesBehindBarrier(plan)), ...(isModule ? [ANY_STAGE] : []), ...named(proofPhases(plan))];
}

function isEngineStarted(own: readonly StepRecord[]): boolean {
  const stages = own.filter(({ step }) => step.startsWith(ANY_STAGE));
  return stages.length > 0 && stages.every(({ state }) => state === 'succeeded');
}

/** The nodes of a plan on which the engine is restored. */
export const modulesOf = ({ nodes }: Pick<RestorePlan, 'nodes'>): PlannedNode[] => nodes.filter(({ engine }) => engine !== undefined);

/** True once a restore has begun to stop the engine, or to replace what it runs on; `whole` is the plan with all of its nodes. Pure. */
export function isEngineTouched(steps: readonly StepRecord[], whole: RestorePlan): boolean {
  const modules = new Set(modulesOf(whole).map(({ node }) => node));
  return steps.some(({ node, step }) => modules.has(node) && (step === 'switch' || step.startsWith('stop-engine-')));
}

/** True unless a rollback has taken the engine away and not brought it back. Pure. */
export const isEngineBack = (steps: readonly StepRecord[]): boolean =>
  steps.every(({ state, step }) => step !== ENGINE_BACK || state === 'succeeded');

/** True once every node of a plan runs on restored data. Pure. */
export const isComplete = (steps: readonly StepRecord[], plan: RestorePlan): boolean =>
  plan.nodes.every(({ node }) => nodeStand(steps, plan, node).missing.length === 0);

/**
 * True when nothing of a restore holds any more but what a rollback has set aside: it came to no node, or was undone on each, and the engine
 * is where it was. Pure.
 */
export function isUndone(steps: readonly StepRecord[]): boolean {
  const undone = new Set(steps.filter(({ step, state }) => step === 'rollback' && state === 'succeeded').map(({ node }) => node));
  return isEngineBack(steps) && steps.every(({ step, node }) => step !== 'stage' || node === '' || undone.has(node));
}
