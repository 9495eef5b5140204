import type { ErrorCode } from '@stillpoint/shared/errors';
import { describe, expect, it } from 'vitest';
import { engineRig, MAP, OLD, started } from './engine-rig.ts';
import { failure, watchedRun } from './fake-cluster.ts';
import { remap } from './fake-engine.ts';
import { fails } from './restore-rig.ts';

const { dbroots, engine, expectEngine, killedDuring, modules, restored, rig, run } = engineRig();

describe('a restore of a cluster with an engine', () => {
  it('stages, stops the engine from the last stage to the first, switches, loads, and starts it stage by stage', async () => {
    const watched = watchedRun();
    const report = await run(watched);
    expectEngine(restored());
    rig.expectRestored();
    expect(watched.events.flatMap((event) => (event.type === 'phase' ? [event.phase] : []))).toEqual([
      ...['check', 'stage', 'stop-engine-4', 'stop-engine-3', 'stop-engine-2', 'stop-engine-1', 'stop'],
      ...['switch', 'start', 'start-replicas', 'replicate'],
      ...['load-brm', 'load-brm-others', 'start-engine-1', 'start-engine-2', 'start-engine-3', 'start-engine-4', 'prove-engine'],
    ]);
    const { services } = engine();
    expect(services.filter((what) => what.startsWith('stop')).at(0)).toBe('stop DMLProc on db1');
    expect(services.filter((what) => !what.startsWith('stop'))).toEqual([
      ...['load on db1', 'load on db2'],
      ...expectAnyOrder(services, started('db1', 'workernode'), started('db2', 'workernode')),
      ...started('db1', 'controllernode'),
      ...expectAnyOrder(services, started('db1', 'PrimProc'), started('db2', 'PrimProc')),
      ...started('db1', 'DMLProc'),
    ]);
    expect(report.nodes.map(({ node, dbroots: numbers, tablesRead }) => [node, numbers, tablesRead])).toEqual([
      ['db1', [1, 2], 2],
      ['db2', [5], 2],
      ['db3', [], 0],
    ]);
  });

  it('brings dbroots to other nodes than they were on, and empties what the set does not have', async () => {
    remap(engine(), { 1: 2, 2: 2, 5: 1, 9: 1 });
    const plan = await rig.plan();
    expect(plan.problems).toEqual([]);
    await rig.run(plan.id);
    expect(dbroots()).toEqual({ ...restored(), 9: '' });
    expect(modules().map(({ node, dbroots: own }) => [node, [...own.keys()].sort()])).toEqual([
      ['db1', [5, 9]],
      ['db2', [1, 2]],
    ]);
    // The primary is another one now.
    expect(engine().services).toContain('start controllernode on db2');
    for (const { memory } of modules()) expect(memory).toBe(restored()[1]);
  });

  it('needs leave to stop an engine, as to stop servers, and names its processes', async () => {
    for (const { server } of rig.cluster.nodes) server.running = false;
    const { id } = await rig.plan();
    const refused = await failure(rig.run(id, { stopServers: false }));
    expect(refused).toMatchObject({
      code: 'ENGINE_RUNNING',
      message: 'the engine runs on db1 (workernode, controllernode, PrimProc, DMLProc), db2 (workernode, PrimProc)',
    });
    expectEngine(OLD);
    for (const module of modules()) Object.assign(module, { running: new Set(), memory: '' });
    await rig.run(id, { stopServers: false });
    expectEngine(restored());
    expect(engine().services.filter((what) => what.startsWith('stop'))).toEqual([]);
  });

  it('of SQL nodes only leaves the engine alone', async () => {
    await rig.run((await rig.plan({ nodes: ['db3'] })).id);
    expectEngine(OLD);
    expect(engine().services).toEqual([]);
    expect(rig.data()).toMatchObject({ db1: 'live', db3: `${rig.setId}/db3` });
  });

  it('brings a wiped node back, which had not even its Columnstore.xml any more', async () => {
    const wiped = { running: new Set(), memory: '', gone: true, dbroots: new Map([[5, '']]) };
    for (const module of modules()) if (module.node === 'db2') Object.assign(module, wiped);
    expect((await rig.plan()).problems).not.toEqual([]);
    const plan = await rig.plan({ restoreConfiguration: true });
    expect(plan.problems).toEqual([]);
    await rig.run(plan.id);
    expectEngine(restored());
  });

  it('goes no further than the start of the engine when a node does not know its module', async () => {
    const [, second] = modules();
    rig.cluster.node('db2').faults.once('task.switch', () => {
      Object.assign(second ?? {}, { doubt: 'local/module is missing' });
    });
    expect(await failure(run())).toMatchObject({
      ...{ code: 'COLUMNSTORE_CONFIG', node: 'db2' },
      message: expect.stringContaining('local/module is missing'),
    });
    expect(engine().services.filter((what) => what.startsWith('start'))).toEqual([]);
    Object.assign(second ?? {}, { doubt: '' });
    await rig.resume(rig.restoreId());
    expectEngine(restored());
  });

  it('loads nothing where units of the system do that', async () => {
    for (const module of modules()) Object.assign(module, { loadsBrm: false });
    await run();
    expectEngine(restored());
    expect(engine().services.filter((what) => what.startsWith('load'))).toEqual([]);
  });
});

const STEPS = ['stopEngine', 'switch', 'loadBrm', 'startEngine', 'proveEngine'] as const;

describe.each(STEPS)('a restore whose %s fails on one node', (step) => {
  const failed = async (): Promise<void> => {
    rig.cluster.node('db2').faults.once(`task.${step}`, fails('ENGINE_SERVICE_FAILED'));
    expect(await failure(run())).toMatchObject({ code: 'ENGINE_SERVICE_FAILED', node: 'db2' });
    expect(rig.stateOf()).toBe('failed');
  };

  it('can be resumed', async () => {
    await failed();
    await rig.resume(rig.restoreId());
    expectEngine(restored());
    rig.expectRestored();
    expect(await failure(rig.resume(rig.restoreId()))).toMatchObject({ code: 'RESTORE_REFUSED' });
  });

  it('can be rolled back: the engine runs on what was there before, loaded anew everywhere', async () => {
    await failed();
    expect(await rig.rollback(rig.restoreId())).toMatchObject({ state: 'rolled-back' });
    expectEngine(OLD);
    rig.expectOld();
  });
});

describe.each(STEPS)('a controller that is killed during %s', (step) => {
  it('leaves a journal that resume completes', async () => {
    await rig.resume(await killedDuring(step));
    expectEngine(restored());
    rig.expectRestored();
    for (const { history } of rig.cluster.nodes) expect(history.filter((what) => what === 'stage started')).toHaveLength(1);
  });

  it('leaves a journal that rollback undoes', async () => {
    await rig.rollback(await killedDuring(step));
    expectEngine(OLD);
    rig.expectOld();
  });
});

describe('a resume', () => {
  const halfStarted = async (): Promise<string> => {
    // PrimProc, on the second node of the stage.
    const { faults } = rig.cluster.node('db2');
    let starts = 0;
    faults.at('task.startEngine', () => {
      starts += 1;
      if (starts === 2) fails('ENGINE_SERVICE_FAILED')();
    });
    await failure(run());
    faults.clear();
    return rig.restoreId();
  };

  it('goes on with the stages that are left, and loads nothing under a running engine', async () => {
    const operationId = await halfStarted();
    engine().services.length = 0;
    await rig.resume(operationId);
    expectEngine(restored());
    expect(engine().services).toEqual([...started('db2', 'PrimProc'), ...started('db1', 'DMLProc')]);
  });

  it('loads and starts anew where everything was stopped since', async () => {
    const operationId = await halfStarted();
    for (const module of modules()) Object.assign(module, { running: new Set(), memory: '' });
    engine().services.length = 0;
    await rig.resume(operationId);
    expectEngine(restored());
    expect(engine().services.slice(0, 2)).toEqual(['load on db1', 'load on db2']);
  });

  it('starts what does not run any more, where others run', async () => {
    rig.cluster.node('db2').faults.once('task.proveEngine', fails('SERVER_DOWN'));
    await failure(run());
    for (const { running } of modules()) running.delete('PrimProc');
    engine().services.length = 0;
    await rig.resume(rig.restoreId());
    expectEngine(restored());
    expect([...engine().services].sort()).toEqual([...started('db1', 'PrimProc'), ...started('db2', 'PrimProc')]);
  });

  it('stops an engine that was started again on half of the data', async () => {
    rig.cluster.node('db2').faults.once('task.switch', fails('SWITCH_FAILED'));
    await failure(run());
    for (const module of modules()) Object.assign(module, { running: new Set(['workernode']), memory: 'x' });
    await rig.resume(rig.restoreId());
    expectEngine(restored());
  });

  it('is refused without a node of the engine, and may leave out one that runs SQL only', async () => {
    rig.cluster.node('db3').faults.once('task.startServer', fails('SERVICE_FAILED'));
    await failure(run());
    expect(await failure(rig.resume(rig.restoreId(), ['db2']))).toMatchObject({
      code: 'RESTORE_REFUSED',
      message: 'the engine of db1, db2 cannot be restored without db2',
    });
    expect(rig.stateOf()).toBe('failed');
    await rig.resume(rig.restoreId(), ['db3']);
    expectEngine(restored());
  });
});

describe('dbroots that move to other nodes while images are staged', () => {
  const MOVED = { 1: 2, 2: 1, 5: 2 };
  /** What manages the engine gives dbroot 1 to db2 while it is being stopped. */
  const moved = async () => {
    rig.cluster.node('db3').faults.once('task.stopServer', () => remap(engine(), MOVED));
    return failure(run());
  };

  it('are seen before anything is switched', async () => {
    expect(await moved()).toMatchObject({
      code: 'PLAN_STALE',
      message: expect.stringMatching(
        /: db1 owned dbroot 1 in .*data1, dbroot 2 .* \(primary\), and owns dbroot 2 .*; db2 owned dbroot 5 .*\(primary\)$/,
      ),
      hint: expect.stringContaining('stillpoint restore rollback'),
    });
    expect(dbroots()).toEqual(OLD);
    expect(rig.data()).toEqual({ db1: 'live', db2: 'live', db3: 'live' });
    await rig.rollback(rig.restoreId());
    expectEngine(OLD, MOVED);
    rig.expectOld();
  });

  it('are seen in a resume at once, which goes on when they are back', async () => {
    await moved();
    for (const module of modules()) Object.assign(module, { running: new Set(['workernode']), memory: 'live' });
    for (const { history } of rig.cluster.nodes) history.length = 0;
    expect(await failure(rig.resume(rig.restoreId()))).toMatchObject({ code: 'PLAN_STALE' });
    for (const { history } of rig.cluster.nodes) expect(history).toEqual(['claimed', 'given back']);
    remap(engine(), MAP);
    await rig.resume(rig.restoreId());
    expectEngine(restored());
  });
});

it.each<[ErrorCode, ErrorCode]>([['BRM_FAILED', 'ENGINE_SERVICE_FAILED']])('%s is told in terms of a restore', async (code, told) => {
  rig.cluster.node('db1').faults.once('task.loadBrm', fails(code));
  expect(await failure(run())).toMatchObject({ code: told, row: { exit: 'RESTORE_FAILED' } });
});

/** Two that happened at the same time, in the order in which they did. */
function expectAnyOrder(services: readonly string[], one: readonly string[], two: readonly string[]): string[] {
  return [...one, ...two].toSorted((a, b) => services.indexOf(a) - services.indexOf(b));
}
