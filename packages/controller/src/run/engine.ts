import { StillpointError } from '@stillpoint/shared/errors';
import { factsOfAll } from '../agents/facts.ts';
import { abortReason } from '../agents/scope.ts';
import { type EngineNode, engineNodes } from '../plan/engine.ts';
import { isRunning, startEnginePhases, stopEnginePhases } from '../plan/engine-phases.ts';
import { proofPhases, type RestorePhase } from '../plan/restore-phases.ts';
import { type Differences, differencesOf, type EngineReading, proofFailure, standingDifferences } from './engine-proof.ts';
import { resultOf } from './journaled-task.ts';
import { runRestorePhase } from './restore-phase.ts';
import { isDone, type RestoreRun } from './restore-run.ts';

/** The engine of the nodes that are restored, as it is now: their processes come and go, and their configuration may have come back. */
export async function engineNow({ agents, operation, plan }: RestoreRun, signal: AbortSignal): Promise<EngineNode[]> {
  const modules = plan.nodes.filter(({ engine }) => engine !== undefined).map(({ node }) => agents.get(node));
  return modules.length === 0 ? [] : engineNodes(await factsOfAll(modules, operation.clock, signal));
}

/** Nodes on which the engine runs on data that is yet to be replaced, on any of its nodes. */
export async function runningEngines(run: RestoreRun, signal: AbortSignal): Promise<EngineNode[]> {
  const modules = run.plan.nodes.filter(({ engine }) => engine !== undefined);
  return modules.every(({ node }) => isDone(run, 'switch', node)) ? [] : (await engineNow(run, signal)).filter(isRunning);
}

/** Stops the engine on all of its nodes, unless it runs on none. What the journal has as stopped is stopped again: it was started since. */
export async function stopEngine(run: RestoreRun, signal: AbortSignal, prefix = ''): Promise<void> {
  const phases = stopEnginePhases(await engineNow(run, signal));
  if (phases.length > 0) forget(run, (step) => step.startsWith(`${prefix}stop-engine-`), 'it was started again');
  await inOrder(run, phases, signal, prefix);
}

/**
 * Starts the engine on all of its nodes. On a node where nothing of it runs, what the journal has as loaded or started is done again: it was
 * stopped since, and its memory cleared. Throws COLUMNSTORE_CONFIG when a node does not know its engine.
 */
export async function startEngine(run: RestoreRun, signal: AbortSignal, prefix = ''): Promise<void> {
  const nodes = await engineNow(run, signal);
  for (const { engine, node } of run.plan.nodes) {
    if (engine === undefined || nodes.some((other) => other.node === node)) continue;
    throw await withoutModule(run, node, signal);
  }
  for (const { node } of nodes.filter((each) => !isRunning(each))) {
    const ofStart = (step: string, on: string): boolean =>
      on === node && (step === `${prefix}load-brm` || step.startsWith(`${prefix}start-engine-`));
    forget(run, ofStart, 'it was stopped since');
  }
  await inOrder(run, startEnginePhases(nodes), signal, prefix);
}

/** How often tables are read in which nodes differ. */
const ROUNDS = 4;

/**
 * Has every table read whole through every SQL server of the engine's nodes. Clients may be back and write already: a table that differs is read
 * again, and counts against the proof only if it stands still meanwhile. Throws ENGINE_PROOF_FAILED when nodes do not see the same.
 */
export async function proveEngine(run: RestoreRun, signal: AbortSignal): Promise<void> {
  let before = await readEverywhere(run, signal);
  let differing = differencesOf(before);
  for (let round = 2; differing.size > 0; round += 1) {
    forget(run, (step) => step === 'prove-engine', 'what the nodes read differs');
    const now = await readEverywhere(run, signal);
    const standing = standingDifferences(before, now);
    if (standing.size > 0) {
      // Whatever is done about it, it is to be read again.
      forget(run, (step) => step === 'prove-engine', 'what the nodes read differs');
      throw proofFailure(standing);
    }
    // What was equal once is equal.
    const still = differencesOf(now);
    differing = new Map([...still].filter(([name]) => differing.has(name)));
    before = now;
    if (round < ROUNDS) continue;
    tellUncompared(run, differing);
    return;
  }
}

async function readEverywhere(run: RestoreRun, signal: AbortSignal): Promise<EngineReading[]> {
  const phases = proofPhases(run.plan);
  await inOrder(run, phases, signal, '');
  return phases.flatMap(({ steps }) =>
    steps.flatMap(({ node }) => {
      const result = resultOf(run.operation, 'prove-engine', node);
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
