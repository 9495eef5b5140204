import { onEveryNode } from '../agents/every-node.ts';
import { type EngineNode, ownedDbroots } from '../plan/engine.ts';
import { stagesDown } from '../plan/engine-phases.ts';
import type { PlannedNode } from '../plan/restore.ts';
import { engineNow, startEngine, stopEngine } from './engine.ts';
import { cancelInDoubt } from './journaled-task.ts';
import { type RestoreRun, restoredAgents } from './restore-run.ts';
import { ENGINE_BACK, isEngineTouched, modulesOf, nodeStand } from './restore-stand.ts';

const PREFIX = 'rollback-';

/** Stops the engine before what it ran on, or may have run on, is taken away. One that the restore did not come to goes on. */
export async function stopTouchedEngine(run: RestoreRun, signal: AbortSignal): Promise<void> {
  if (!isTouched(run)) return;
  beginBack(run);
  const { agents, operation, plan } = run;
  const steps = operation.steps.all();
  if (modulesOf(plan).every(({ node }) => nodeStand(steps, plan, node).back)) return;
  // A start that is under way would go on behind the stop.
  await onEveryNode(restoredAgents(agents, plan), undefined, (agent) => cancelInDoubt(operation, agent));
  await stopEngine(run, signal, PREFIX);
}

/** Starts the engine on what was there before, where there was something and all of it is back: a half one would not be the one that it was. */
export async function startTouchedEngine(run: RestoreRun, signal: AbortSignal): Promise<void> {
  const { leftOut, operation, whole } = run;
  if (!isTouched(run)) return;
  const missing = modulesOf(whole).flatMap(({ node }) => (leftOut.includes(node) ? [node] : []));
  if (missing.length > 0) {
    const names = missing.join(', ');
    staysStopped(
      run,
      `its dbroots are one image, and ${names} is left out`,
      `Once ${names} is back, repeat the rollback without --without.`,
    );
    return;
  }
  const lacking = whatLacks(modulesOf(whole), await engineNow(run, signal));
  if (lacking.length === 0) await startEngine(run, signal, PREFIX);
  else
    staysStopped(
      run,
      `before the restore it was not whole: ${lacking.join('; ')}`,
      'Restore a set, or bring what is missing back and start it.',
    );
  operation.steps.succeeded(ENGINE_BACK, '');
}

/**
 * Starts an engine again that the restore had stopped, where none of its data was moved. One that somebody has started since is left alone, if
 * all of it runs.
 */
export async function restartStoppedEngine(run: RestoreRun, signal: AbortSignal): Promise<void> {
  if (!isTouched(run)) return;
  beginBack(run);
  const found = await engineNow(run, signal);
  const allRun = found.length === modulesOf(run.whole).length && found.every((node) => stagesDown(node).length === 0);
  if (allRun) return run.operation.steps.succeeded(ENGINE_BACK, '');
  await stopEngine(run, signal, PREFIX);
  await startTouchedEngine(run, signal);
}

function beginBack({ operation: { steps } }: RestoreRun): void {
  steps.started(ENGINE_BACK, '', (steps.get(ENGINE_BACK, '')?.attempt ?? 0) + 1);
}

const isTouched = ({ operation, whole }: RestoreRun): boolean => isEngineTouched(operation.steps.all(), whole);

function staysStopped({ operation }: RestoreRun, why: string, hint: string): void {
  operation.observe({ type: 'warning', node: '', message: `the engine stays stopped: ${why}`, hint });
}

/** What an engine lacks to run on what was there before: all of its modules, and data on each that owns dbroots. */
const whatLacks = (modules: readonly PlannedNode[], found: readonly EngineNode[]): string[] =>
  modules.flatMap(({ engine, node }) => {
    const now = found.find((other) => other.node === node);
    if (now === undefined) return [`${node} does not know which module of the engine it is`];
    const owned = ownedDbroots(now.engine);
    // A dbroot that was just added holds nothing in an engine that runs.
    const hadData = (engine?.running.length ?? 0) > 0 || owned.length === 0 || owned.some(({ bytes }) => bytes > 0n);
    return hadData ? [] : [`the dbroots of ${node} hold nothing`];
  });
