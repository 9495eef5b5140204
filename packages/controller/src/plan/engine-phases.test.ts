import { expect, it } from 'vitest';
import { moduleView } from '../../../../test/controller/engine-builders.ts';
import { type EngineNode, engineNodes } from './engine.ts';
import { startEnginePhases, stopEnginePhases } from './engine-phases.ts';
import type { RestorePhase } from './restore-phases.ts';

const MAP = { 1: 2, 2: 1, 3: 3 };
const nodes = (...running: readonly string[]): EngineNode[] =>
  engineNodes(['db1', 'db2', 'db3'].map((node) => moduleView(node, MAP, { running: running.includes(node) })));
const told = (phases: readonly RestorePhase[]): [string, string[]][] =>
  phases.map(({ phase, steps }) => [phase, steps.map(({ node }) => node)]);

it('stops one stage after the other on all nodes, the last one first, wherever the engine runs', () => {
  const phases = stopEnginePhases(nodes('db3'));
  expect(told(phases)).toEqual([
    ['stop-engine-4', ['db2']],
    ['stop-engine-3', ['db1', 'db2', 'db3']],
    ['stop-engine-2', ['db2']],
    ['stop-engine-1', ['db1', 'db2', 'db3']],
  ]);
  expect(phases.flatMap(({ steps }) => steps).filter((step) => 'last' in step && step.last)).toMatchObject(
    ['db1', 'db2', 'db3'].map((node) => ({ node, stage: 1 })),
  );
  expect(stopEnginePhases(nodes())).toEqual([]);
});

it('loads the memory of the primary before that of the others, then starts stage by stage', () => {
  const phases = startEnginePhases(nodes());
  expect(told(phases)).toEqual([
    ['load-brm', ['db2']],
    ['load-brm-others', ['db1', 'db3']],
    ['start-engine-1', ['db1', 'db2', 'db3']],
    ['start-engine-2', ['db2']],
    ['start-engine-3', ['db1', 'db2', 'db3']],
    ['start-engine-4', ['db2']],
  ]);
  expect(phases.slice(0, 2).flatMap(({ steps }) => steps)).toMatchObject([{ from: '' }, { from: 'db2' }, { from: 'db2' }]);
});

it('loads nothing where units or the engine do that themselves', () => {
  const byUnits = nodes().map(({ engine, node }) => ({
    node,
    engine: { ...engine, loadsBrm: false, processes: engine.processes.map((process) => ({ ...process, stage: 1 })) },
  }));
  expect(told(startEnginePhases(byUnits))).toEqual([['start-engine-1', ['db1', 'db2', 'db3']]]);
});
