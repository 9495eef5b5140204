import { describe, expect, it } from 'vitest';
import { engineRig, OLD } from './engine-rig.ts';
import { failure, watchedRun } from './fake-cluster.ts';
import { fails } from './restore-rig.ts';

const { engine, expectEngine, killedDuring, modules, restored, rig, run } = engineRig();

/** Counts from 1. */
function counter(): () => number {
  let count = 0;
  return () => {
    count += 1;
    return count;
  };
}

describe('the proof', () => {
  it('finds a node that reads other data, and names table and both nodes; what is read again may be the same', async () => {
    const { faults } = rig.cluster.node('db2');
    faults.at('task.proveEngine', () => {
      for (const module of modules()) if (module.node === 'db2') module.memory = 'old';
    });
    expect(await failure(run())).toMatchObject({
      code: 'ENGINE_PROOF_FAILED',
      message: expect.stringMatching(/^shop\.facts reads differently on db1 .* and on db2 /),
      hint: expect.stringContaining('stillpoint restore rollback'),
    });
    expect(rig.stateOf()).toBe('failed');
    faults.clear();
    for (const module of modules()) module.memory = restored()[1];
    await rig.resume(rig.restoreId());
    expectEngine(restored());
    expect(rig.stateOf()).toBe('switched');
  });

  it('reads everything anew in a resume', async () => {
    rig.cluster.node('db2').faults.once('task.proveEngine', fails('SERVER_DOWN'));
    await failure(run());
    // db1 has been read already.
    for (const module of modules()) if (module.node === 'db1') module.memory = 'old';
    expect(await failure(rig.resume(rig.restoreId()))).toMatchObject({ code: 'ENGINE_PROOF_FAILED' });
  });

  it('reads anew what was being read when the controller died', async () => {
    await killedDuring('proveEngine');
    for (const module of modules()) if (module.node === 'db2') module.memory = 'old';
    expect(await failure(rig.resume(rig.restoreId()))).toMatchObject({ code: 'ENGINE_PROOF_FAILED' });
  });

  it('lets clients write, and says what it could not compare', async () => {
    const next = counter();
    for (const module of modules()) module.sees = () => String(next());
    const watched = watchedRun();
    const { nodes } = await run(watched);
    expect(nodes.map(({ tablesRead }) => tablesRead)).toEqual([2, 2, 0]);
    expect(watched.events).toContainEqual(
      expect.objectContaining({
        type: 'warning',
        message: 'shop.facts was read whole on every node, but not compared between them: clients write to it',
      }),
    );
    expect(rig.cluster.node('db1').history.filter((what) => what === 'proveEngine succeeded')).toHaveLength(4);
  });

  it('fails where a node does not see what clients write on another', async () => {
    const next = counter();
    for (const module of modules()) if (module.node === 'db1') module.sees = () => String(next());
    expect(await failure(run())).toMatchObject({
      code: 'ENGINE_PROOF_FAILED',
      message: expect.stringContaining('shop.facts reads the same on db2 every time, while other nodes see it change'),
    });
  });

  it('tells table locks that are there afterwards', async () => {
    engine().stuckLocks = ['shop.facts is locked by cpimport (lock 7)'];
    const report = await run();
    expect(report.nodes.map(({ locks }) => locks)).toEqual([engine().stuckLocks, engine().stuckLocks, []]);
  });
});

describe('a restore without its proof', () => {
  const unproven = async (): Promise<string> => {
    rig.cluster.node('db2').faults.once('task.proveEngine', fails('ENGINE_PROOF_FAILED'));
    await failure(run());
    return rig.restoreId();
  };

  it('cannot be called complete by leaving the nodes of the engine out', async () => {
    const operationId = await unproven();
    expect(await failure(rig.resume(operationId, ['db1', 'db2']))).toMatchObject({
      code: 'RESTORE_REFUSED',
      message: 'the engine of db1, db2 cannot be restored without db1, db2',
    });
    expect(rig.stateOf()).toBe('failed');
    const { nodes } = await rig.resume(operationId);
    expect(nodes.map(({ tablesRead }) => tablesRead)).toEqual([2, 2, 0]);
    expect(await rig.finish(operationId)).toMatchObject({ state: 'finished' });
  });

  it('keeps the old data of all nodes, also where an earlier version called it complete', async () => {
    const operationId = await unproven();
    rig.callIt('switched');
    for (const without of [[], ['db1', 'db2']]) {
      expect(await failure(rig.finish(operationId, without))).toMatchObject({
        code: 'RESTORE_REFUSED',
        message: `${operationId} is switched: db2 lacks prove-engine, and the old data may yet be needed`,
      });
    }
    for (const { restore } of rig.cluster.nodes) expect(restore?.phase).toBe('switched');
  });

  it('may leave out an engine that it has not come to', async () => {
    rig.cluster.node('db2').faults.once('task.stage', fails('STAGE_FAILED'));
    await failure(run());
    await rig.resume(rig.restoreId(), ['db1', 'db2']);
    expectEngine(OLD);
    expect(await failure(rig.finish(rig.restoreId()))).toMatchObject({ message: expect.stringContaining('db1 lacks switch, start') });
    expect(await rig.finish(rig.restoreId(), ['db1', 'db2'])).toMatchObject({ state: 'finished' });
  });
});
