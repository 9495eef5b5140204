import type { ErrorCode } from '@stillpoint/shared/errors';
import { describe, expect, it } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { controllerProcess } from './controller-process.ts';
import { failure, watchedRun } from './fake-cluster.ts';
import { type FakeModule, remap } from './fake-engine.ts';
import { fails, restoreRig } from './restore-rig.ts';

/** db1 owns two dbroots, db2 one, and db3 runs SQL only. */
const MAP = { 1: 1, 2: 1, 5: 2 };
const rig = restoreRig(MAP);

const modules = (): FakeModule[] => rig.cluster.nodes.flatMap(({ engine }) => engine ?? []);
const engine = () => {
  const [first] = modules();
  if (first === undefined) throw new Error('no engine');
  return first.shared;
};
/** What lies in every dbroot. */
const dbroots = () => Object.fromEntries(modules().flatMap((module) => [...module.dbroots]));
const OLD = { 1: 'live', 2: 'live', 5: 'live' };
const restored = () => ({ 1: `${rig.setId}/db1/dbroot1`, 2: `${rig.setId}/db1/dbroot2`, 5: `${rig.setId}/db2/dbroot5` });
const started = (node: string, ...names: string[]): string[] => names.map((name) => `start ${name} on ${node}`);

/** The engine runs everywhere, on these dbroots, and every node has loaded what belongs to dbroot 1. */
function expectEngine(contents: Readonly<Record<number, string>>): void {
  expect(dbroots()).toEqual(contents);
  for (const { memory, node, running } of modules()) {
    expect(memory).toBe(contents[1]);
    expect([...running].sort()).toEqual(
      node === 'db1' ? ['DMLProc', 'PrimProc', 'controllernode', 'workernode'] : ['PrimProc', 'workernode'],
    );
  }
}
const run = async (watched = watchedRun()) => rig.run((await rig.plan()).id, { run: watched });

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

  it('tells table locks that are there afterwards', async () => {
    engine().stuckLocks = ['shop.facts is locked by cpimport (lock 7)'];
    const report = await run();
    expect(report.nodes.map(({ locks }) => locks)).toEqual([engine().stuckLocks, engine().stuckLocks, []]);
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
  const killed = async (): Promise<string> => {
    const { id } = await rig.plan();
    const gate = rig.cluster.node('db2').faults.gate(`task.${step}`);
    const controller = controllerProcess(rig.cluster.config, 'restore', id);
    await gate.reached;
    await controller.kill();
    gate.open();
    rig.cluster.node('db2').faults.clear();
    await eventually(() => rig.cluster.node('db2').history.includes(`${step} succeeded`));
    return rig.restoreId();
  };

  it('leaves a journal that resume completes', async () => {
    await rig.resume(await killed());
    expectEngine(restored());
    rig.expectRestored();
    for (const { history } of rig.cluster.nodes) expect(history.filter((what) => what === 'stage started')).toHaveLength(1);
  });

  it('leaves a journal that rollback undoes', async () => {
    await rig.rollback(await killed());
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

it('is not complete without its proof, though all nodes of the engine were left out since', async () => {
  rig.cluster.node('db2').faults.once('task.proveEngine', fails('ENGINE_PROOF_FAILED'));
  await failure(run());
  expect(await rig.resume(rig.restoreId(), ['db1', 'db2'])).toMatchObject({ state: 'switched' });
  const { nodes } = await rig.resume(rig.restoreId());
  expect(nodes.map(({ tablesRead }) => tablesRead)).toEqual([2, 2, 0]);
});

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

  it('of a restore that the journal has lost brings the engine back as well', async () => {
    const { operationId } = await run();
    rig.forget();
    await rig.rollback(operationId);
    expectEngine(OLD);
    rig.expectOld();
  });
});

it('finishing leaves the engine alone', async () => {
  const { operationId } = await run();
  engine().services.length = 0;
  expect(await rig.finish(operationId)).toMatchObject({ state: 'finished' });
  expectEngine(restored());
  expect(engine().services).toEqual([]);
});

it.each<[ErrorCode, ErrorCode]>([['BRM_FAILED', 'ENGINE_SERVICE_FAILED']])('%s is told in terms of a restore', async (code, told) => {
  rig.cluster.node('db1').faults.once('task.loadBrm', fails(code));
  expect(await failure(run())).toMatchObject({ code: told, row: { exit: 'RESTORE_FAILED' } });
});

/** Two that happened at the same time, in the order in which they did. */
function expectAnyOrder(services: readonly string[], one: readonly string[], two: readonly string[]): string[] {
  return [...one, ...two].toSorted((a, b) => services.indexOf(a) - services.indexOf(b));
}
