import { StillpointError } from '@stillpoint/shared/errors';
import { onEveryNode } from '../agents/every-node.ts';
import { factsOfAll } from '../agents/facts.ts';
import { abortReason } from '../agents/scope.ts';
import { type EngineNode, engineNodes } from '../plan/engine.ts';
import { isRunning, stagesDown, startEnginePhases, stopEnginePhases } from '../plan/engine-phases.ts';
import { proofPhases, type RestorePhase } from '../plan/restore-phases.ts';
import type { RestoreStep } from '../plan/steps.ts';
import { type Differences, type EngineReading, proofFailure, verdictOf } from './engine-proof.ts';
import { cancelInDoubt, resultOf } from './journaled-task.ts';
import { runRestorePhase } from './restore-phase.ts';
import { isDone, type RestoreRun, restoredAgents } from './restore-run.ts';
import { modulesOf } from './restore-stand.ts';

/** The engine of the nodes that are restored, as it is now: their processes come and go, and their configuration may have come back. */
export async function engineNow({ agents, operation, plan }: RestoreRun, signal: AbortSignal): Promise<EngineNode[]> {
  const modules = modulesOf(plan).map(({ node }) => agents.get(node));
  return modules.length === 0 ? [] : engineNodes(await factsOfAll(modules, operation.clock, signal));
}

/** Nodes on which the engine runs on data that is yet to be replaced, on any of its nodes. */
export async function runningEngines(run: RestoreRun, signal: AbortSignal): Promise<EngineNode[]> {
  return modulesOf(run.plan).every(({ node }) => isDone(run, 'switch', node)) ? [] : (await engineNow(run, signal)).filter(isRunning);
}

/** Stops the engine on all of its nodes, unless it runs on none. What the journal has as stopped is stopped again: it was started since. */
export async function stopEngine(run: RestoreRun, signal: AbortSignal, prefix = ''): Promise<void> {
  const phases = stopEnginePhases(await engineNow(run, signal));
  if (phases.length > 0) forget(run, (step) => step.startsWith(`${prefix}stop-engine-`), 'it was started again');
  await inOrder(run, phases, signal, prefix);
}

/**
 * Starts the engine on all of its nodes. What the journal has as started, and does not run, is started again; what it has as loaded is loaded again
 * where nothing runs: it was stopped since, and its memory cleared. Throws COLUMNSTORE_CONFIG when a node does not know its engine.
 */
export async function startEngine(run: RestoreRun, signal: AbortSignal, prefix = ''): Promise<void> {
  const nodes = await engineNow(run, signal);
  for (const { node } of modulesOf(run.plan)) {
    if (nodes.some((other) => other.node === node)) continue;
    throw await withoutModule(run, node, signal);
  }
  for (const each of nodes) {
    const down = new Set([
      ...stagesDown(each).map((stage) => `${prefix}start-engine-${stage}`),
      ...(isRunning(each) ? [] : [`${prefix}load-brm`]),
    ]);
    forget(run, (step, on) => on === each.node && down.has(step), 'it was stopped since');
  }
  await inOrder(run, startEnginePhases(nodes), signal, prefix);
}

/** How often tables are read in which nodes differ. */
const ROUNDS = 4;
const PROOF: RestoreStep['kind'] = 'prove-engine';

/**
 * Has every table read whole through every SQL server of the engine's nodes, now: what was read before may be of another engine than the one that
 * runs. Clients may be back and write already, so tables that differ are read again, see `verdictOf`. Throws ENGINE_PROOF_FAILED when nodes do not
 * see the same.
 */
export async function proveEngine(run: RestoreRun, signal: AbortSignal): Promise<void> {
  const rounds: EngineReading[][] = [];
  for (;;) {
    await forgetReadings(run);
    rounds.push(await readEverywhere(run, signal));
    const isLast = rounds.length === ROUNDS;
    const { failed, open } = verdictOf(rounds, isLast);
    if (failed.size > 0) {
      // Nothing of it may be taken for a proof.
      await forgetReadings(run);
      throw proofFailure(failed);
    }
    if (open.size === 0) return;
    if (isLast) return tellUncompared(run, open);
  }
}

async function forgetReadings(run: RestoreRun): Promise<void> {
  const { agents, operation, plan } = run;
  const doubtful = operation.steps.all().filter(({ state, step }) => step === PROOF && state === 'started');
  const nodes = restoredAgents(agents, plan).filter((agent) => doubtful.some(({ node }) => node === agent.node));
  await onEveryNode(nodes, undefined, (agent) => cancelInDoubt(operation, agent));
  forget(run, (step) => step === PROOF, 'it is to be read again');
}

async function readEverywhere(run: RestoreRun, signal: AbortSignal): Promise<EngineReading[]> {
  const phases = proofPhases(run.plan);
  await inOrder(run, phases, signal, '');
  return phases.flatMap(({ steps }) =>
    steps.flatMap(({ node }) => {
      const result = resultOf(run.operation, PROOF, node);
      return result?.case === 'proveEngine' ? [{ node, result: result.value }] : [];
    }),
  );
}

function tellUncompared({ operation }: RestoreRun, differing: Differences): void {
  for (const name of differing.keys()) {
    const message = `${name} was read whole on every node, but not compared between them: clients write to it`;
    operation.observe({ type: 'warning', node: '', message, hint: '' });
  }
}

async function inOrder(run: RestoreRun, phases: readonly RestorePhase[], signal: AbortSignal, prefix: string): Promise<void> {
  for (const phase of phases) {
    if (signal.aborted) throw abortReason(signal);
    await runRestorePhase(run, phase, signal, prefix);
  }
}

async function withoutModule({ agents, operation }: RestoreRun, node: string, signal: AbortSignal): Promise<StillpointError> {
  const [answer] = await factsOfAll([agents.get(node)], operation.clock, signal);
  const why = answer?.facts.columnstore?.contradictions ?? ['there is no Columnstore.xml'];
  return new StillpointError('COLUMNSTORE_CONFIG', `its agent finds no module of the engine to start: ${why.join('; ')}`, {
    node,
    hint: 'Bring Columnstore.xml, and local/module in the data directory of the engine, in order; then go on.',
  });
}

/** What the journal has as done no longer is. */
function forget({ operation: { steps } }: RestoreRun, which: (step: string, node: string) => boolean, reason: string): void {
  for (const { node, state, step } of steps.all()) {
    if (node !== '' && state === 'succeeded' && which(step, node)) steps.failed(step, node, reason);
  }
}
