import { expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { controllerProcess } from './controller-process.ts';
import type { DbrootMap } from './engine-builders.ts';
import { watchedRun } from './fake-cluster.ts';
import type { FakeModule } from './fake-engine.ts';
import { restoreRig } from './restore-rig.ts';

/** db1 owns two dbroots, db2 one, and db3 runs SQL only. */
export const MAP: DbrootMap = { 1: 1, 2: 1, 5: 2 };
/** What lies in the dbroots before a restore. */
export const OLD = { 1: 'live', 2: 'live', 5: 'live' };

/** `start PrimProc on db1` for each of some processes. */
export const started = (node: string, ...names: string[]): string[] => names.map((name) => `start ${name} on ${node}`);

/** A rig for restores of a cluster with an engine; to be called once, at the top of a file of tests. */
export function engineRig() {
  const rig = restoreRig(MAP);
  const modules = (): FakeModule[] => rig.cluster.nodes.flatMap(({ engine }) => engine ?? []);
  const engine = () => {
    const [first] = modules();
    if (first === undefined) throw new Error('no engine');
    return first.shared;
  };
  /** What lies in every dbroot. */
  const dbroots = () => Object.fromEntries(modules().flatMap((module) => [...module.dbroots]));
  const restored = () => ({ 1: `${rig.setId}/db1/dbroot1`, 2: `${rig.setId}/db1/dbroot2`, 5: `${rig.setId}/db2/dbroot5` });
  /** The engine runs everywhere, on these dbroots, and every node has loaded what belongs to dbroot 1. */
  const expectEngine = (contents: Readonly<Record<number, string>>, map: DbrootMap = MAP): void => {
    expect(dbroots()).toEqual(contents);
    for (const { memory, node, running } of modules()) {
      expect(memory).toBe(contents[1]);
      expect([...running].sort()).toEqual(
        node === `db${map[1]}` ? ['DMLProc', 'PrimProc', 'controllernode', 'workernode'] : ['PrimProc', 'workernode'],
      );
    }
  };
  const run = async (watched = watchedRun()) => rig.run((await rig.plan()).id, { run: watched });
  /** A controller that dies while db2 works on a step, which then succeeds. Gives the restore. */
  const killedDuring = async (step: string): Promise<string> => {
    const { id } = await rig.plan();
    const { faults, history } = rig.cluster.node('db2');
    const gate = faults.gate(`task.${step}`);
    const controller = controllerProcess(rig.cluster.config, 'restore', id);
    await gate.reached;
    await controller.kill();
    gate.open();
    faults.clear();
    await eventually(() => history.includes(`${step} succeeded`));
    return rig.restoreId();
  };
  return { rig, modules, engine, dbroots, restored, expectEngine, run, killedDuring };
}
