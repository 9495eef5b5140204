import { type ErrorCode, StillpointError } from '@stillpoint/shared/errors';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { RestorePlan, RestoreRequest } from '../../packages/controller/src/index.ts';
import { eventually } from '../harness/eventually.ts';
import { controllerProcess } from './controller-process.ts';
import { type FakeCluster, failure, fakeCluster, type Identities, identities, type WatchedRun, watchedRun } from './fake-cluster.ts';

let ids: Identities;
let cluster: FakeCluster;
let setId: string;

beforeAll(async () => {
  ids = await identities();
});
afterAll(() => ids?.remove());
beforeEach(async () => {
  cluster = await fakeCluster(ids);
  // db3 lags behind at the cut, and so is seeded from the primary.
  cluster.node('db3').server.gtidSlavePos = '0-1-800';
  setId = (await cluster.controller.createBackup({}, watchedRun())).set.setId;
  for (const { history } of cluster.nodes) history.length = 0;
});
afterEach(() => cluster?.remove());

const none = new AbortController().signal;
const fails = (code: ErrorCode) => () => {
  throw new StillpointError(code, `injected ${code}`);
};
const plan = (request: Partial<RestoreRequest> = {}): Promise<RestorePlan> =>
  cluster.controller.planRestore(
    { setId: 'latest', replicas: 'auto', replication: 'start', restoreConfiguration: false, ...request },
    none,
  );
const run = (planId: string, options: { run?: WatchedRun; stopServers?: boolean } = {}) =>
  cluster.controller.runRestore(planId, { ...(options.run ?? watchedRun()), stopServers: options.stopServers ?? true });
const resume = (operationId: string) => cluster.controller.resumeRestore(operationId, { ...watchedRun(), stopServers: true });
const stateOf = () => cluster.controller.listRestores()[0]?.state;
const restoreId = () => cluster.controller.listRestores()[0]?.operationId ?? '';

const data = () => Object.fromEntries(cluster.nodes.map(({ name, server }) => [name, server.data]));
const restored = () => ({ db1: `${setId}/db1`, db2: `${setId}/db2`, db3: `${setId}/db1` });
const LIVE = { db1: 'live', db2: 'live', db3: 'live' };

/** Every server runs on the restored data, and the replicas follow. */
function expectRestored(): void {
  expect(data()).toEqual(restored());
  for (const { server } of cluster.nodes) expect(server.running).toBe(true);
  expect(stateOf()).toBe('switched');
}

/** Every server runs on what was there before, and nothing is left of a restore. */
function expectOld(): void {
  expect(data()).toEqual(LIVE);
  for (const { restore, server } of cluster.nodes) {
    expect(server.running).toBe(true);
    expect(restore).toBeUndefined();
  }
}

describe('a restore', () => {
  it('stages everywhere, then stops, switches and starts, the primary first, then makes the replicas follow', async () => {
    const watched = watchedRun();
    const report = await run((await plan()).id, { run: watched });
    expectRestored();
    expect(report).toMatchObject({ setId, state: 'switched', commands: [] });
    expect(report.nodes).toMatchObject([
      { node: 'db1', image: 'db1', gtidPosition: '0-1-840', bytes: 5, tablesEqual: 4, kept: ['/kept'] },
      { node: 'db2', image: 'db2', gtidPosition: '0-1-840' },
      { node: 'db3', image: 'db1', gtidPosition: '0-1-840' },
    ]);
    const phases = watched.events.flatMap((event) => (event.type === 'phase' ? [event.phase] : []));
    expect(phases).toEqual(['check', 'stage', 'stop', 'switch', 'start', 'start-replicas', 'replicate']);
    expect(cluster.node('db1').history.filter((what) => what.endsWith('started'))).toEqual([
      'stage started',
      'stopServer started',
      'switch started',
      'startServer started',
    ]);
  });

  it('does not stop servers that it was not allowed to, and has touched nothing then', async () => {
    expect(await failure(run((await plan()).id, { stopServers: false }))).toMatchObject({
      code: 'SERVER_RUNNING',
      message: 'the server runs on db1, db2, db3',
    });
    for (const { history } of cluster.nodes) expect(history).not.toContain('stage started');
    expectOld();
    expect(stateOf()).toBe('rolled-back');
    await cluster.controller.deleteSet(setId, watchedRun());
  });

  it('needs no leave to stop servers that are stopped', async () => {
    for (const { server } of cluster.nodes) server.running = false;
    await run((await plan()).id, { stopServers: false });
    expectRestored();
  });

  it('prints the commands when replication is not to be started', async () => {
    const { commands } = await run((await plan({ replication: 'print' })).id);
    const sql = [
      "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=3301, MASTER_USER='repl', MASTER_PASSWORD='<password>', MASTER_USE_GTID=slave_pos;",
      'START SLAVE;',
    ];
    expect(commands).toEqual([
      { node: 'db2', sql },
      { node: 'db3', sql },
    ]);
    for (const { history } of cluster.nodes) expect(history).not.toContain('replicate started');
  });

  it('restores some nodes only, when told so', async () => {
    await run((await plan({ nodes: ['db3'] })).id);
    expect(data()).toEqual({ ...LIVE, db3: `${setId}/db3` });
  });

  it('does not carry out a plan that no longer fits', async () => {
    const { id } = await plan();
    cluster.node('db2').server.version = '10.11.20-MariaDB';
    expect(await failure(run(id))).toMatchObject({
      code: 'PLAN_STALE',
      message: expect.stringContaining('db2: server version was 10.11.19'),
    });
    expectOld();
  });

  it('does not carry out a plan with problems, and says which', async () => {
    cluster.node('db2').server.freeBytes = 1n;
    const made = await plan();
    expect(made.problems.map(({ node }) => node)).toEqual(['db2']);
    expect(await failure(run(made.id))).toMatchObject({ code: 'RESTORE_REFUSED', message: expect.stringContaining('db2: needs') });
    expect(cluster.controller.listRestores()).toEqual([]);
  });

  it('finds a plan by its id only', async () => {
    expect(await failure(run('plan-20200101-000000-00000000'))).toMatchObject({ code: 'PLAN_NOT_FOUND' });
    expect(await failure(resume('restore-20200101-000000-00000000'))).toMatchObject({ code: 'OPERATION_NOT_FOUND' });
  });

  it('keeps its set from being deleted while it may need it', async () => {
    cluster.node('db2').faults.at('task.stage', fails('STAGE_FAILED'));
    await failure(run((await plan()).id));
    expect(await failure(cluster.controller.deleteSet(setId, watchedRun()))).toMatchObject({ code: 'RESTORE_UNFINISHED' });
    await cluster.controller.rollbackRestore(restoreId(), watchedRun());
    await cluster.controller.deleteSet(setId, watchedRun());
  });

  it('refuses another restore until it is settled', async () => {
    cluster.node('db2').faults.at('task.startServer', fails('SERVICE_FAILED'));
    await failure(run((await plan()).id));
    const other = await plan();
    expect(other.problems.map(({ message }) => message)).toEqual(
      expect.arrayContaining([expect.stringContaining('was neither finished nor rolled back')]),
    );
  });
});

const STEPS = ['stage', 'stopServer', 'switch', 'startServer', 'replicate'];

describe.each(STEPS)('a restore whose %s fails on one node', (step) => {
  it('can be resumed', async () => {
    cluster.node('db2').faults.once(`task.${step}`, fails('SERVICE_FAILED'));
    expect(await failure(run((await plan()).id))).toMatchObject({ code: 'SERVICE_FAILED', node: 'db2' });
    expect(stateOf()).toBe('failed');
    if (step === 'stage') expect(data()).toEqual(LIVE);
    await resume(restoreId());
    expectRestored();
    // What was done is not done again.
    const started = cluster.node('db1').history.filter((what) => what === 'stage started').length;
    expect(started).toBeLessThanOrEqual(step === 'stage' ? 2 : 1);
  });

  it('can be rolled back', async () => {
    cluster.node('db2').faults.once(`task.${step}`, fails('SERVICE_FAILED'));
    await failure(run((await plan()).id));
    expect(await cluster.controller.rollbackRestore(restoreId(), watchedRun())).toMatchObject({ state: 'rolled-back' });
    expectOld();
    expect(stateOf()).toBe('rolled-back');
  });
});

describe.each(STEPS)('a controller that is killed during %s', (step) => {
  /** Kills a controller while db2 is in the middle of the step. */
  const killed = async (): Promise<string> => {
    const { id } = await plan();
    const gate = cluster.node('db2').faults.gate(`task.${step}`);
    const controller = controllerProcess(cluster.config, 'restore', id);
    await gate.reached;
    await controller.kill();
    expect(stateOf()).toBe('interrupted');
    gate.open();
    cluster.node('db2').faults.clear();
    // Agents go on by themselves.
    await eventually(() => cluster.node('db2').history.includes(`${step} succeeded`));
    return restoreId();
  };

  it('leaves a journal that resume completes', async () => {
    const operationId = await killed();
    const report = await resume(operationId);
    expectRestored();
    expect(report.nodes.map(({ tablesEqual }) => tablesEqual)).toEqual([4, 4, 4]);
    // Nothing is done twice.
    for (const { history } of cluster.nodes) expect(history.filter((what) => what === 'stage started')).toHaveLength(1);
  });

  it('leaves a journal that rollback undoes', async () => {
    await cluster.controller.rollbackRestore(await killed(), watchedRun());
    expectOld();
  });
});

describe('work that still runs on a node when its controller is dead', () => {
  it('is attached to by resume', async () => {
    const { id } = await plan();
    const gate = cluster.node('db2').faults.gate('task.switch');
    const controller = controllerProcess(cluster.config, 'restore', id);
    await gate.reached;
    await controller.kill();
    const { history } = cluster.node('db2');
    const resumed = watchedRun();
    const done = cluster.controller.resumeRestore(restoreId(), { ...resumed, stopServers: true });
    await resumed.until((event) => event.type === 'progress' && event.node === 'db2');
    gate.open();
    await done;
    expectRestored();
    expect(history.filter((what) => what === 'switch started')).toHaveLength(1);
  });

  it('is cancelled by a rollback first', async () => {
    const { id } = await plan();
    const gate = cluster.node('db2').faults.gate('task.switch');
    const controller = controllerProcess(cluster.config, 'restore', id);
    await gate.reached;
    await controller.kill();
    await cluster.controller.rollbackRestore(restoreId(), watchedRun());
    expect(cluster.node('db2').history).toContain('switch cancelled');
    expectOld();
  });
});

describe('an abort', () => {
  it.each(['checkNode', 'task.stage'])('at %s leaves live data untouched', async (point) => {
    const watched = watchedRun();
    const gate = cluster.node('db2').faults.gate(point);
    const ended = failure(run((await plan()).id, { run: watched }));
    await gate.reached;
    watched.abort();
    expect(await ended).toMatchObject({ code: 'CANCELLED' });
    expect(data()).toEqual(LIVE);
    if (point === 'task.stage') {
      expect(stateOf()).toBe('interrupted');
      await cluster.controller.rollbackRestore(restoreId(), watchedRun());
    }
    expectOld();
  });

  it('during the switch takes effect once all nodes are switched', async () => {
    const watched = watchedRun();
    const gate = cluster.node('db2').faults.gate('task.switch');
    const ended = failure(run((await plan()).id, { run: watched }));
    await gate.reached;
    watched.abort();
    gate.open();
    expect(await ended).toMatchObject({ code: 'CANCELLED' });
    expect(data()).toEqual(restored());
    await resume(restoreId());
    expectRestored();
  });
});

describe('an agent', () => {
  it('that is restarted while it stages is given its work again by resume', async () => {
    const db2 = cluster.node('db2');
    const gate = db2.faults.gate('task.stage');
    const ended = failure(run((await plan()).id));
    await gate.reached;
    await db2.killAgent();
    db2.faults.clear();
    await db2.startAgent();
    expect(await ended).toMatchObject({ code: 'TASK_INTERRUPTED', node: 'db2' });
    await resume(restoreId());
    expectRestored();
  });

  it('that lost what it had staged stages again', async () => {
    cluster.node('db2').faults.once('task.stage', fails('STAGE_FAILED'));
    await failure(run((await plan()).id));
    for (const node of cluster.nodes) node.restore = undefined;
    await resume(restoreId());
    expectRestored();
  });

  it('whose connection breaks is found again', async () => {
    const db2 = cluster.node('db2');
    const gate = db2.faults.gate('task.stage');
    const done = run((await plan()).id);
    await gate.reached;
    db2.network.sever();
    db2.network.mend();
    gate.open();
    await done;
    expectRestored();
    expect(db2.history.filter((what) => what === 'stage started')).toHaveLength(1);
  });
});

it.each<ErrorCode>(['PROOF_FAILED', 'PART_CORRUPT', 'DISK_FULL'])('what no resuming mends (%s) leaves nothing staged', async (code) => {
  const db1 = cluster.node('db1');
  cluster.node('db2').faults.at('task.stage', async () => {
    await eventually(() => db1.history.includes('stage succeeded'));
    fails(code)();
  });
  expect(await failure(run((await plan()).id))).toMatchObject({ code, node: 'db2' });
  expectOld();
  expect(stateOf()).toBe('rolled-back');
  expect(db1.history).toContain('rollback succeeded');
  cluster.node('db2').faults.clear();
  await run((await plan()).id);
  expectRestored();
});

describe('going back', () => {
  it('from a switched restore brings the old data back, with the servers running', async () => {
    const { operationId } = await run((await plan()).id);
    expect(await cluster.controller.rollbackRestore(operationId, watchedRun())).toMatchObject({ state: 'rolled-back', operationId });
    expectOld();
    expect(await failure(cluster.controller.rollbackRestore(operationId, watchedRun()))).toMatchObject({ code: 'NOTHING_TO_ROLL_BACK' });
    expect(await failure(resume(operationId))).toMatchObject({ code: 'RESTORE_REFUSED' });
  });

  it('to servers that had no data leaves them stopped', async () => {
    for (const { server } of cluster.nodes) Object.assign(server, { running: false, data: '' });
    const { operationId } = await run((await plan()).id);
    await cluster.controller.rollbackRestore(operationId, watchedRun());
    expect(data()).toEqual({ db1: '', db2: '', db3: '' });
    expect(cluster.nodes.map(({ server }) => server.running)).toEqual([false, false, false]);
  });

  it('that fails on one node can be repeated', async () => {
    const { operationId } = await run((await plan()).id);
    cluster.node('db2').faults.once('task.rollback', fails('SERVICE_FAILED'));
    expect(await failure(cluster.controller.rollbackRestore(operationId, watchedRun()))).toMatchObject({
      code: 'SERVICE_FAILED',
      node: 'db2',
    });
    expect(await failure(resume(operationId))).toMatchObject({ code: 'RESTORE_REFUSED', message: expect.stringContaining('rollback') });
    await cluster.controller.rollbackRestore(operationId, watchedRun());
    expectOld();
  });

  it('that ended while it stopped servers is not resumed over, and stops them again', async () => {
    const { operationId } = await run((await plan()).id);
    cluster.node('db2').faults.once('task.stopServer', fails('SERVICE_FAILED'));
    await failure(cluster.controller.rollbackRestore(operationId, watchedRun()));
    expect(cluster.node('db1').server.running).toBe(false);
    expect(await failure(resume(operationId))).toMatchObject({ code: 'RESTORE_REFUSED', message: expect.stringContaining('rollback') });
    expect(stateOf()).toBe('failed');
    // Somebody who saw it down.
    cluster.node('db1').server.running = true;
    cluster.node('db1').history.length = 0;
    await cluster.controller.rollbackRestore(operationId, watchedRun());
    expect(cluster.node('db1').history).toContain('stopServer succeeded');
    expectOld();
  });
});

describe('finishing', () => {
  it('ends the way back', async () => {
    const { operationId } = await run((await plan()).id);
    expect(await cluster.controller.finishRestore(operationId, watchedRun())).toMatchObject({ state: 'finished' });
    expect(data()).toEqual(restored());
    expect(await failure(cluster.controller.rollbackRestore(operationId, watchedRun()))).toMatchObject({ code: 'NOTHING_TO_ROLL_BACK' });
    expect((await plan()).problems).toEqual([]);
  });

  it('that reached only some nodes can be repeated, but there is no way back any more', async () => {
    const { operationId } = await run((await plan()).id);
    cluster.node('db2').faults.once('task.finish', fails('INTERNAL'));
    await failure(cluster.controller.finishRestore(operationId, watchedRun()));
    expect(stateOf()).toBe('switched');
    expect(await failure(cluster.controller.rollbackRestore(operationId, watchedRun()))).toMatchObject({ code: 'NOTHING_TO_ROLL_BACK' });
    expect(data()).toEqual(restored());
    await cluster.controller.finishRestore(operationId, watchedRun());
    expect(stateOf()).toBe('finished');
  });

  it('is refused while the restore has not come to its end', async () => {
    cluster.node('db2').faults.at('task.startServer', fails('SERVICE_FAILED'));
    await failure(run((await plan()).id));
    expect(await failure(cluster.controller.finishRestore(restoreId(), watchedRun()))).toMatchObject({ code: 'RESTORE_REFUSED' });
  });
});
