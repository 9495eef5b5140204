import { describe, expect, it } from 'vitest';
import { engineRig, OLD } from './engine-rig.ts';
import { failure, watchedRun } from './fake-cluster.ts';
import { fails } from './restore-rig.ts';

const { dbroots, engine, expectEngine, modules, restored, rig, run } = engineRig();

describe('going back', () => {
  it('from a complete restore stops the engine before its data moves, and starts it once all of it is back', async () => {
    const { operationId } = await run();
    engine().services.length = 0;
    await rig.rollback(operationId);
    expectEngine(OLD);
    const { services } = engine();
    expect(services[0]).toBe('stop DMLProc on db1');
    expect(services.findIndex((what) => what.startsWith('load'))).toBeGreaterThan(
      services.findLastIndex((what) => what.startsWith('stop')),
    );
  });

  it('where the restore has not come to the engine leaves that running', async () => {
    rig.cluster.node('db2').faults.once('task.stage', fails('STAGE_FAILED'));
    await failure(run());
    await rig.rollback(rig.restoreId());
    expect(engine().services).toEqual([]);
    expectEngine(OLD);
  });

  it('to dbroots that held nothing leaves the engine stopped', async () => {
    for (const module of modules()) {
      Object.assign(module, { running: new Set(), memory: '', dbroots: new Map([...module.dbroots.keys()].map((number) => [number, ''])) });
    }
    const { operationId } = await run();
    expectEngine(restored());
    await rig.rollback(operationId);
    expect(dbroots()).toEqual({ 1: '', 2: '', 5: '' });
    for (const { running } of modules()) expect(running.size).toBe(0);
  });

  it.each([
    ['Columnstore.xml', { gone: true }, 'db2 does not know which module of the engine it is'],
    ['data', {}, 'the dbroots of db2 hold nothing'],
  ])('to a node whose %s was lost leaves the engine stopped, says so, and ends', async (_, lost, why) => {
    for (const module of modules()) Object.assign(module, { running: new Set(), memory: '' });
    for (const module of modules()) if (module.node === 'db2') Object.assign(module, { ...lost, dbroots: new Map([[5, '']]) });
    const plan = await rig.plan({ restoreConfiguration: true });
    const { operationId } = await rig.run(plan.id);
    expectEngine(restored());
    const watched = watchedRun();
    await rig.cluster.controller.rollbackRestore(operationId, watched);
    expect(rig.stateOf()).toBe('rolled-back');
    expect(dbroots()).toEqual({ ...OLD, 5: '' });
    for (const { running } of modules()) expect(running.size).toBe(0);
    expect(watched.events).toContainEqual(
      expect.objectContaining({ type: 'warning', message: `the engine stays stopped: before the restore it was not whole: ${why}` }),
    );
    expect(await failure(rig.rollback(operationId))).toMatchObject({ code: 'NOTHING_TO_ROLL_BACK' });
  });

  it('starts what does not run any more, where others run', async () => {
    const { operationId } = await run();
    rig.cluster.node('db2').faults.once('task.startServer', fails('SERVICE_FAILED'));
    rig.cluster.node('db1').faults.at('task.startEngine', () => {
      if (modules().every(({ running }) => running.has('PrimProc'))) fails('ENGINE_SERVICE_FAILED')();
    });
    await failure(rig.rollback(operationId));
    rig.cluster.node('db1').faults.clear();
    for (const { node, running } of modules()) if (node === 'db2') running.delete('workernode');
    await rig.rollback(operationId);
    expectEngine(OLD);
  });

  it('whose start of the engine fails says how to go on, and goes on', async () => {
    const { operationId } = await run();
    rig.cluster.node('db2').faults.once('task.startEngine', fails('ENGINE_SERVICE_FAILED'));
    const error = await failure(rig.rollback(operationId));
    expect(error).toMatchObject({ code: 'ENGINE_SERVICE_FAILED', hint: expect.stringContaining(`restore rollback ${operationId} --yes`) });
    expect(rig.stateOf()).toBe('failed');
    expect(await failure(rig.resume(operationId))).toMatchObject({ code: 'RESTORE_REFUSED' });
    engine().services.length = 0;
    await rig.rollback(operationId);
    expectEngine(OLD);
    expect(engine().services.filter((what) => what.startsWith('stop'))).toEqual([]);
    expect(rig.stateOf()).toBe('rolled-back');
  });

  it('without a node of the engine leaves it stopped, says so, and starts it when that node has come back', async () => {
    const { operationId } = await run();
    rig.cluster.node('db2').network.sever();
    for (const module of modules()) if (module.node === 'db2') Object.assign(module, { running: new Set(), memory: '' });
    const watched = watchedRun();
    const left = await rig.cluster.controller.rollbackRestore(operationId, { ...watched, without: ['db2'] });
    expect(left).toMatchObject({ state: 'rolled-back', leftOut: ['db2'] });
    expect(watched.events).toContainEqual(
      expect.objectContaining({
        type: 'warning',
        message: expect.stringContaining('the engine stays stopped'),
        hint: expect.stringContaining('db2'),
      }),
    );
    expect(modules()[0]?.running.size).toBe(0);
    rig.cluster.node('db2').network.mend();
    await rig.rollback(operationId);
    expectEngine(OLD);
  });

  describe('from a restore that had stopped the engine, and then cannot stage', () => {
    const hopeless = async () => {
      rig.cluster.node('db3').faults.once('task.stopServer', fails('SERVICE_FAILED'));
      await failure(run());
      expect(modules().map(({ running }) => running.size)).toEqual([0, 0]);
      // What was staged is lost, and its image is not what it was.
      rig.cluster.node('db2').restore = undefined;
      rig.cluster.node('db2').faults.once('task.stage', fails('PART_CORRUPT'));
      return failure(rig.resume(rig.restoreId()));
    };

    it('starts the engine again', async () => {
      expect(await hopeless()).toMatchObject({ code: 'PART_CORRUPT' });
      expect(rig.stateOf()).toBe('rolled-back');
      expectEngine(OLD);
      rig.expectOld();
    });

    it('rests as failed when the engine does not start, and a rollback brings it back', async () => {
      rig.cluster.node('db2').faults.once('task.startEngine', fails('ENGINE_SERVICE_FAILED'));
      expect(await hopeless()).toMatchObject({ code: 'PART_CORRUPT', hint: expect.stringContaining('The rollback was begun') });
      expect(rig.stateOf()).toBe('failed');
      expect(await rig.rollback(rig.restoreId())).toMatchObject({ state: 'rolled-back' });
      expectEngine(OLD);
    });
  });

  it('of a restore that the journal has lost brings the engine back as well', async () => {
    const { operationId } = await run();
    rig.forget();
    await rig.rollback(operationId);
    expectEngine(OLD);
    rig.expectOld();
  });
});

it('one that the journal has lost, and that was merely staged, leaves servers and engine running', async () => {
  rig.cluster.node('db3').faults.once('task.stage', fails('STAGE_FAILED'));
  await failure(run());
  const operationId = rig.restoreId();
  rig.forget();
  expect(await failure(rig.finish(operationId))).toMatchObject({ code: 'RESTORE_REFUSED' });
  expect(await failure(rig.resume(operationId))).toMatchObject({
    code: 'RESTORE_REFUSED',
    message: expect.stringContaining('not known any more'),
  });
  await rig.rollback(operationId);
  expectEngine(OLD);
  rig.expectOld();
  expect(engine().services).toEqual([]);
  for (const { history } of rig.cluster.nodes) expect(history).not.toContain('stopServer started');
});

it('one that the journal has lost can be finished', async () => {
  const { operationId } = await run();
  rig.forget();
  expect(await rig.finish(operationId)).toMatchObject({ state: 'finished' });
  expectEngine(restored());
});

it('finishing leaves the engine alone', async () => {
  const { operationId } = await run();
  engine().services.length = 0;
  expect(await rig.finish(operationId)).toMatchObject({ state: 'finished' });
  expectEngine(restored());
  expect(engine().services).toEqual([]);
});
