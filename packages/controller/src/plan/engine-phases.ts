import type { EngineNode } from './engine.ts';
import { isEnginePrimary } from './engine.ts';
import type { RestorePhase } from './restore-phases.ts';

/** Stages of the engine's processes on a node, ascending. */
const stagesOf = ({ engine }: EngineNode): number[] => [...new Set(engine.processes.map(({ stage }) => stage))].sort((a, b) => a - b);

/** Stages of all nodes, ascending. */
const allStages = (nodes: readonly EngineNode[]): number[] => [...new Set(nodes.flatMap(stagesOf))].sort((a, b) => a - b);

/** True on a node on which a process of the engine runs. */
export const isRunning = ({ engine }: EngineNode): boolean => engine.processes.some(({ pid }) => pid !== 0);

/** Stages of which a process does not run on a node. */
export const stagesDown = (node: EngineNode): number[] =>
  stagesOf(node).filter((stage) => node.engine.processes.some((process) => process.stage === stage && process.pid === 0));

/**
 * How the engine is stopped: stage by stage on all nodes, the last one first, as it was not started. One that runs nowhere needs no
 * stopping; one that runs on a single node is stopped everywhere, so that its state is known. Pure.
 */
export function stopEnginePhases(nodes: readonly EngineNode[]): RestorePhase[] {
  if (!nodes.some(isRunning)) return [];
  return allStages(nodes)
    .toReversed()
    .map((stage) => ({
      phase: `stop-engine-${stage}`,
      steps: nodes
        .filter((node) => stagesOf(node).includes(stage))
        .map((node) => ({ kind: 'stop-engine', node: node.node, stage, last: stagesOf(node)[0] === stage })),
    }));
}

/**
 * How the engine is started. Its memory comes first, where nothing else loads it: on the primary from its current set, on the others from
 * the primary's, as their own copies are old. Then the processes, stage by stage on all nodes. Pure.
 */
export function startEnginePhases(nodes: readonly EngineNode[]): RestorePhase[] {
  const primary = nodes.find(({ engine }) => isEnginePrimary(engine))?.node ?? '';
  const loading = nodes.filter(({ engine }) => engine.loadsBrm).map(({ node }) => node);
  const load = (name: string, on: readonly string[], from: string): RestorePhase => ({
    phase: name,
    steps: on.map((node) => ({ kind: 'load-brm', node, from })),
  });
  const phases: RestorePhase[] = [
    load(
      'load-brm',
      loading.filter((node) => node === primary),
      '',
    ),
    load(
      'load-brm-others',
      loading.filter((node) => node !== primary),
      primary,
    ),
    ...allStages(nodes).map(
      (stage): RestorePhase => ({
        phase: `start-engine-${stage}`,
        steps: nodes.filter((node) => stagesOf(node).includes(stage)).map(({ node }) => ({ kind: 'start-engine', node, stage })),
      }),
    ),
  ];
  return phases.filter(({ steps }) => steps.length > 0);
}
