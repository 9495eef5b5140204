import { onEveryNode } from '../agents/every-node.ts';
import { isEnginePrimary, ownedDbroots } from '../plan/engine.ts';
import type { PlannedNode } from '../plan/restore.ts';
import { engineNow, startEngine, stopEngine } from './engine.ts';
import { cancelInDoubt } from './journaled-task.ts';
import { isUndone, type RestoreRun, restoredAgents } from './restore-run.ts';

const PREFIX = 'rollback-';

/** Stops the engine before what it ran on, or may have run on, is taken away. One that the restore did not come to goes on. */
export async function stopTouchedEngine(run: RestoreRun, signal: AbortSignal): Promise<void> {
  const modules = modulesOf(run.plan.nodes);
  if (!wasTouched(run) || modules.every(({ node }) => isBack(run, node))) return;
  // A start that is under way would go on behind the stop.
  await onEveryNode(restoredAgents(run.agents, run.plan), undefined, (agent) => cancelInDoubt(run.operation, agent));
  await stopEngine(run, signal, PREFIX);
}

/** Starts the engine on what was there before, where there was something and all of it is back: a half one would not be the one that it was. */
export async function startTouchedEngine(run: RestoreRun, signal: AbortSignal): Promise<void> {
  const modules = modulesOf(run.whole.nodes);
  if (!wasTouched(run) || modulesOf(run.plan.nodes).length === 0) return;
  const missing = modules.map(({ node }) => node).filter((node) => run.leftOut.includes(node));
  if (missing.length === 0) {
    const primary = (await engineNow(run, signal)).find(({ engine }) => isEnginePrimary(engine));
    const hasData = primary !== undefined && ownedDbroots(primary.engine).some(({ bytes }) => bytes > 0n);
    if (hasData) await startEngine(run, signal, PREFIX);
    return;
  }
  run.operation.observe({
    type: 'warning',
    node: '',
    message: `the engine stays stopped: its dbroots are one image, and ${missing.join(', ')} is left out`,
    hint: `Once ${missing.join(', ')} is back, repeat the rollback without --without.`,
  });
}

const modulesOf = (nodes: readonly PlannedNode[]): PlannedNode[] => nodes.filter(({ engine }) => engine !== undefined);

/** True once the restore has begun to stop the engine, or to replace what it runs on. */
function wasTouched({ operation, whole }: RestoreRun): boolean {
  const modules = new Set(modulesOf(whole.nodes).map(({ node }) => node));
  return operation.steps.all().some(({ node, step }) => modules.has(node) && (step === 'switch' || step.startsWith('stop-engine-')));
}

/** True on a node whose old data is back. */
const isBack = ({ operation }: RestoreRun, node: string): boolean =>
  operation.steps.all().some((one) => one.node === node && one.step === 'stage') &&
  isUndone(operation.steps.all().filter((one) => one.node === node));
