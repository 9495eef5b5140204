import type { ErrorCode } from '@stillpoint/shared/errors';
import { describe, expect, it } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { controllerProcess } from './controller-process.ts';
import { failure, watchedRun } from './fake-cluster.ts';
import { fails, LIVE, restoreRig } from './restore-rig.ts';

const rig = restoreRig();

describe('a restore', () => {
  it('stages everywhere, then stops, switches and starts, the primary first, then makes the replicas follow', async () => {
    const watched = watchedRun();
    const report = await rig.run((await rig.plan()).id, { run: watched });
    rig.expectRestored();
    expect(report).toMatchObject({ setId: rig.setId, state: 'switched', commands: [] });
    expect(report.nodes).toMatchObject([
      { node: 'db1', image: 'db1', gtidPosition: '0-1-840', bytes: 5, tablesEqual: 4, kept: ['/kept'] },
      { node: 'db2', image: 'db2', gtidPosition: '0-1-840' },
      { node: 'db3', image: 'db1', gtidPosition: '0-1-840' },
    ]);
    const phases = watched.events.flatMap((event) => (event.type === 'phase' ? [event.phase] : []));
    expect(phases).toEqual(['check', 'stage', 'stop', 'switch', 'start', 'start-replicas', 'replicate']);
    expect(rig.cluster.node('db1').history.filter((what) => what.endsWith('started'))).toEqual([
      'stage started',
      'stopServer started',
      'switch started',
      'startServer started',
    ]);
  });

  it('does not stop servers that it was not allowed to, and has touched nothing then', async () => {
    expect(await failure(rig.run((await rig.plan()).id, { stopServers: false }))).toMatchObject({
      code: 'SERVER_RUNNING',
      message: 'the server runs on db1, db2, db3',
    });
    for (const { history } of rig.cluster.nodes) expect(history).not.toContain('stage started');
    rig.expectOld();
    expect(rig.stateOf()).toBe('refused');
    expect(await failure(rig.resume(rig.restoreId()))).toMatchObject({ hint: expect.stringContaining('touched no node') });
    await rig.cluster.controller.deleteSet(rig.setId, watchedRun());
  });

  it('needs no leave to stop servers that are stopped', async () => {
    for (const { server } of rig.cluster.nodes) server.running = false;
    await rig.run((await rig.plan()).id, { stopServers: false });
    rig.expectRestored();
  });

  it('prints the commands when replication is not to be started', async () => {
    const { commands } = await rig.run((await rig.plan({ replication: 'print' })).id);
    const sql = [
      "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=3301, MASTER_USER='repl', MASTER_PASSWORD='<password>', MASTER_USE_GTID=slave_pos;",
      'START SLAVE;',
    ];
    expect(commands).toEqual([
      { node: 'db2', sql },
      { node: 'db3', sql },
    ]);
    for (const { history } of rig.cluster.nodes) expect(history).not.toContain('replicate started');
  });

  it('restores some nodes only, when told so', async () => {
    await rig.run((await rig.plan({ nodes: ['db3'] })).id);
    expect(rig.data()).toEqual({ ...LIVE, db3: `${rig.setId}/db3` });
  });

  it('is not planned for a node that nobody knows', async () => {
    expect(await failure(rig.plan({ nodes: ['db1', 'dbx'] }))).toMatchObject({
      code: 'NODE_UNKNOWN',
      message: expect.stringContaining('dbx'),
    });
  });

  it('does not carry out a plan that no longer fits', async () => {
    const { id } = await rig.plan();
    rig.cluster.node('db2').server.version = '10.11.20-MariaDB';
    expect(await failure(rig.run(id))).toMatchObject({
      code: 'PLAN_STALE',
      message: expect.stringContaining('db2: server version was 10.11.19'),
    });
    rig.expectOld();
  });

  it('does not carry out a plan twice', async () => {
    const { id } = await rig.plan();
    const { operationId } = await rig.run(id);
    const again = { code: 'PLAN_STALE', message: expect.stringContaining(operationId), hint: expect.stringContaining('new plan') };
    expect(await failure(rig.run(id))).toMatchObject(again);
    await rig.cluster.controller.rollbackRestore(operationId, watchedRun());
    expect(await failure(rig.run(id))).toMatchObject(again);
    rig.expectOld();
  });

  it('does not carry out a plan with problems, and says which', async () => {
    rig.cluster.node('db2').server.freeBytes = 1n;
    const made = await rig.plan();
    expect(made.problems.map(({ node }) => node)).toEqual(['db2']);
    expect(await failure(rig.run(made.id))).toMatchObject({ code: 'RESTORE_REFUSED', message: expect.stringContaining('db2: needs') });
    expect(rig.cluster.controller.listRestores()).toEqual([]);
  });

  it('finds a plan by its id only', async () => {
    expect(await failure(rig.run('plan-20200101-000000-00000000'))).toMatchObject({ code: 'PLAN_NOT_FOUND' });
    expect(await failure(rig.resume('restore-20200101-000000-00000000'))).toMatchObject({ code: 'OPERATION_NOT_FOUND' });
  });

  it('keeps its set from being deleted while it may need it', async () => {
    rig.cluster.node('db2').faults.at('task.stage', fails('STAGE_FAILED'));
    await failure(rig.run((await rig.plan()).id));
    expect(await failure(rig.cluster.controller.deleteSet(rig.setId, watchedRun()))).toMatchObject({ code: 'RESTORE_UNFINISHED' });
    await rig.cluster.controller.rollbackRestore(rig.restoreId(), watchedRun());
    await rig.cluster.controller.deleteSet(rig.setId, watchedRun());
  });

  it('refuses another restore until it is settled', async () => {
    rig.cluster.node('db2').faults.at('task.startServer', fails('SERVICE_FAILED'));
    await failure(rig.run((await rig.plan()).id));
    const other = await rig.plan();
    expect(other.problems.map(({ message }) => message)).toEqual(
      expect.arrayContaining([expect.stringContaining('was neither finished nor rolled back')]),
    );
  });
});

const STEPS = ['stage', 'stopServer', 'switch', 'startServer', 'replicate'];

describe.each(STEPS)('a restore whose %s fails on one node', (step) => {
  it('can be resumed', async () => {
    rig.cluster.node('db2').faults.once(`task.${step}`, fails('SERVICE_FAILED'));
    expect(await failure(rig.run((await rig.plan()).id))).toMatchObject({ code: 'SERVICE_FAILED', node: 'db2' });
    expect(rig.stateOf()).toBe('failed');
    if (step === 'stage') expect(rig.data()).toEqual(LIVE);
    await rig.resume(rig.restoreId());
    rig.expectRestored();
    // What was done is not done again.
    const started = rig.cluster.node('db1').history.filter((what) => what === 'stage started').length;
    expect(started).toBeLessThanOrEqual(step === 'stage' ? 2 : 1);
  });

  it('can be rolled back', async () => {
    rig.cluster.node('db2').faults.once(`task.${step}`, fails('SERVICE_FAILED'));
    await failure(rig.run((await rig.plan()).id));
    expect(await rig.cluster.controller.rollbackRestore(rig.restoreId(), watchedRun())).toMatchObject({ state: 'rolled-back' });
    rig.expectOld();
    expect(rig.stateOf()).toBe('rolled-back');
  });
});

describe.each(STEPS)('a controller that is killed during %s', (step) => {
  /** Kills a controller while db2 is in the middle of the step. */
  const killed = async (): Promise<string> => {
    const { id } = await rig.plan();
    const gate = rig.cluster.node('db2').faults.gate(`task.${step}`);
    const controller = controllerProcess(rig.cluster.config, 'restore', id);
    await gate.reached;
    await controller.kill();
    expect(rig.stateOf()).toBe('interrupted');
    gate.open();
    rig.cluster.node('db2').faults.clear();
    // Agents go on by themselves.
    await eventually(() => rig.cluster.node('db2').history.includes(`${step} succeeded`));
    return rig.restoreId();
  };

  it('leaves a journal that resume completes', async () => {
    const operationId = await killed();
    const report = await rig.resume(operationId);
    rig.expectRestored();
    expect(report.nodes.map(({ tablesEqual }) => tablesEqual)).toEqual([4, 4, 4]);
    // Nothing is done twice.
    for (const { history } of rig.cluster.nodes) expect(history.filter((what) => what === 'stage started')).toHaveLength(1);
  });

  it('leaves a journal that rollback undoes', async () => {
    await rig.cluster.controller.rollbackRestore(await killed(), watchedRun());
    rig.expectOld();
  });
});

describe('work that still runs on a node when its controller is dead', () => {
  it('is attached to by resume', async () => {
    const { id } = await rig.plan();
    const gate = rig.cluster.node('db2').faults.gate('task.switch');
    const controller = controllerProcess(rig.cluster.config, 'restore', id);
    await gate.reached;
    await controller.kill();
    const { history } = rig.cluster.node('db2');
    const resumed = watchedRun();
    const done = rig.cluster.controller.resumeRestore(rig.restoreId(), { ...resumed, stopServers: true });
    await resumed.until((event) => event.type === 'progress' && event.node === 'db2');
    gate.open();
    await done;
    rig.expectRestored();
    expect(history.filter((what) => what === 'switch started')).toHaveLength(1);
  });

  it('is cancelled by a rollback first', async () => {
    const { id } = await rig.plan();
    const gate = rig.cluster.node('db2').faults.gate('task.switch');
    const controller = controllerProcess(rig.cluster.config, 'restore', id);
    await gate.reached;
    await controller.kill();
    await rig.cluster.controller.rollbackRestore(rig.restoreId(), watchedRun());
    expect(rig.cluster.node('db2').history).toContain('switch cancelled');
    rig.expectOld();
  });
});

describe('an abort', () => {
  it.each(['checkNode', 'task.stage'])('at %s leaves live data untouched', async (point) => {
    const watched = watchedRun();
    const gate = rig.cluster.node('db2').faults.gate(point);
    const ended = failure(rig.run((await rig.plan()).id, { run: watched }));
    await gate.reached;
    watched.abort();
    expect(await ended).toMatchObject({ code: 'CANCELLED' });
    expect(rig.data()).toEqual(LIVE);
    if (point === 'task.stage') {
      expect(rig.stateOf()).toBe('interrupted');
      await rig.cluster.controller.rollbackRestore(rig.restoreId(), watchedRun());
    }
    rig.expectOld();
  });

  it('during the switch takes effect once all nodes are switched', async () => {
    const watched = watchedRun();
    const gate = rig.cluster.node('db2').faults.gate('task.switch');
    const ended = failure(rig.run((await rig.plan()).id, { run: watched }));
    await gate.reached;
    watched.abort();
    // A cancellation would have reached the agent before this is answered.
    await rig.cluster.controller.describe(AbortSignal.timeout(10_000));
    gate.open();
    expect(await ended).toMatchObject({ code: 'CANCELLED' });
    expect(rig.data()).toEqual(rig.restored());
    await rig.resume(rig.restoreId());
    rig.expectRestored();
  });
});

describe('an agent', () => {
  it('that is restarted while it stages is given its work again by resume', async () => {
    const db2 = rig.cluster.node('db2');
    const gate = db2.faults.gate('task.stage');
    const ended = failure(rig.run((await rig.plan()).id));
    await gate.reached;
    await db2.killAgent();
    db2.faults.clear();
    await db2.startAgent();
    expect(await ended).toMatchObject({ code: 'RESTORE_INTERRUPTED', node: 'db2', row: { exit: 'RESTORE_FAILED' } });
    await rig.resume(rig.restoreId());
    rig.expectRestored();
  });

  it('that lost what it had staged stages again', async () => {
    rig.cluster.node('db2').faults.once('task.stage', fails('STAGE_FAILED'));
    await failure(rig.run((await rig.plan()).id));
    for (const node of rig.cluster.nodes) node.restore = undefined;
    await rig.resume(rig.restoreId());
    rig.expectRestored();
  });

  it('whose connection breaks is found again', async () => {
    const db2 = rig.cluster.node('db2');
    const gate = db2.faults.gate('task.stage');
    const done = rig.run((await rig.plan()).id);
    await gate.reached;
    db2.network.sever();
    db2.network.mend();
    gate.open();
    await done;
    rig.expectRestored();
    expect(db2.history.filter((what) => what === 'stage started')).toHaveLength(1);
  });
});

it.each<[ErrorCode, ErrorCode]>([
  ['PROOF_FAILED', 'PROOF_FAILED'],
  ['PART_CORRUPT', 'PART_CORRUPT'],
  ['DISK_FULL', 'RESTORE_DISK_FULL'],
])('what no resuming mends (%s) leaves nothing staged, and is told as %s', async (code, told) => {
  const db1 = rig.cluster.node('db1');
  rig.cluster.node('db2').faults.at('task.stage', async () => {
    await eventually(() => db1.history.includes('stage succeeded'));
    fails(code)();
  });
  expect(await failure(rig.run((await rig.plan()).id))).toMatchObject({ code: told, node: 'db2' });
  rig.expectOld();
  expect(rig.stateOf()).toBe('rolled-back');
  expect(db1.history).toContain('rollback succeeded');
  rig.cluster.node('db2').faults.clear();
  await rig.run((await rig.plan()).id);
  rig.expectRestored();
});
