import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { systemClock } from '@stillpoint/shared/time';
import { describe, expect, it } from 'vitest';
import { openController } from '../../packages/controller/src/index.ts';
import { failure, watchedRun } from './fake-cluster.ts';
import { fails, restoreRig } from './restore-rig.ts';

const rig = restoreRig();

describe('going back', () => {
  it('from a switched restore brings the old data back, with the servers running', async () => {
    const { operationId } = await rig.run((await rig.plan()).id);
    expect(await rig.rollback(operationId)).toMatchObject({ state: 'rolled-back', operationId });
    rig.expectOld();
    expect(await failure(rig.rollback(operationId))).toMatchObject({ code: 'NOTHING_TO_ROLL_BACK' });
    expect(await failure(rig.resume(operationId))).toMatchObject({ code: 'RESTORE_REFUSED' });
  });

  it('to servers that had no data leaves them stopped', async () => {
    for (const { server } of rig.cluster.nodes) Object.assign(server, { running: false, data: '' });
    const { operationId } = await rig.run((await rig.plan()).id);
    await rig.rollback(operationId);
    expect(rig.data()).toEqual({ db1: '', db2: '', db3: '' });
    expect(rig.cluster.nodes.map(({ server }) => server.running)).toEqual([false, false, false]);
  });

  it('that fails on one node can be repeated', async () => {
    const { operationId } = await rig.run((await rig.plan()).id);
    rig.cluster.node('db2').faults.once('task.rollback', fails('SERVICE_FAILED'));
    expect(await failure(rig.rollback(operationId))).toMatchObject({
      code: 'SERVICE_FAILED',
      node: 'db2',
    });
    expect(await failure(rig.resume(operationId))).toMatchObject({ code: 'RESTORE_REFUSED', message: expect.stringContaining('rollback') });
    await rig.rollback(operationId);
    rig.expectOld();
  });

  it('that ended while it stopped servers is not resumed over, and stops them again', async () => {
    const { operationId } = await rig.run((await rig.plan()).id);
    rig.cluster.node('db2').faults.once('task.stopServer', fails('SERVICE_FAILED'));
    await failure(rig.rollback(operationId));
    expect(rig.cluster.node('db1').server.running).toBe(false);
    expect(await failure(rig.resume(operationId))).toMatchObject({ code: 'RESTORE_REFUSED', message: expect.stringContaining('rollback') });
    expect(rig.stateOf()).toBe('failed');
    // Somebody who saw it down.
    rig.cluster.node('db1').server.running = true;
    rig.cluster.node('db1').history.length = 0;
    await rig.rollback(operationId);
    expect(rig.cluster.node('db1').history).toContain('stopServer succeeded');
    rig.expectOld();
  });
});

describe('finishing', () => {
  it('ends the way back', async () => {
    const { operationId } = await rig.run((await rig.plan()).id);
    expect(await rig.finish(operationId)).toMatchObject({ state: 'finished' });
    expect(rig.data()).toEqual(rig.restored());
    expect(await failure(rig.rollback(operationId))).toMatchObject({ code: 'NOTHING_TO_ROLL_BACK' });
    expect((await rig.plan()).problems).toEqual([]);
  });

  it('that reached only some nodes can be repeated, but there is no way back any more', async () => {
    const { operationId } = await rig.run((await rig.plan()).id);
    rig.cluster.node('db2').faults.once('task.finish', fails('INTERNAL'));
    await failure(rig.finish(operationId));
    expect(rig.stateOf()).toBe('switched');
    expect(await failure(rig.rollback(operationId))).toMatchObject({ code: 'NOTHING_TO_ROLL_BACK' });
    expect(rig.data()).toEqual(rig.restored());
    await rig.finish(operationId);
    expect(rig.stateOf()).toBe('finished');
  });

  it('of a restore that was rolled back gives the space of the restored data back, and leaves it rolled back', async () => {
    const { operationId } = await rig.run((await rig.plan()).id);
    const back = await rig.rollback(operationId);
    expect(back.nodes.map(({ kept }) => kept)).toEqual([['/undone'], ['/undone'], ['/undone']]);
    rig.cluster.node('db2').faults.once('task.finish', fails('INTERNAL'));
    await failure(rig.finish(operationId));
    expect(rig.stateOf()).toBe('rolled-back');
    const report = await rig.finish(operationId);
    expect(report.state).toBe('rolled-back');
    expect(report.nodes.map(({ freedBytes, kept }) => [freedBytes, kept])).toEqual([
      [5, []],
      [5, []],
      [5, []],
    ]);
    expect(rig.cluster.nodes.map(({ setAside }) => setAside)).toEqual(['', '', '']);
    rig.expectOld();
    expect(rig.stateOf()).toBe('rolled-back');
    expect(await failure(rig.rollback(operationId))).toMatchObject({ code: 'NOTHING_TO_ROLL_BACK' });
  });

  it('goes on after its controller died in it', async () => {
    const { operationId } = await rig.run((await rig.plan()).id);
    rig.cluster.node('db2').faults.once('task.finish', fails('INTERNAL'));
    await failure(rig.finish(operationId));
    const db = new DatabaseSync(join(rig.cluster.config.stateDir, 'stillpoint.db'));
    db.exec(`UPDATE operations SET state = 'interrupted' WHERE id = '${operationId}'`);
    db.close();
    expect(await rig.finish(operationId)).toMatchObject({ state: 'finished' });
  });

  it('is refused while the restore has not come to its end', async () => {
    rig.cluster.node('db2').faults.at('task.startServer', fails('SERVICE_FAILED'));
    await failure(rig.run((await rig.plan()).id));
    expect(await failure(rig.finish(rig.restoreId()))).toMatchObject({ code: 'RESTORE_REFUSED' });
  });
});

describe('a node that is out of reach for good', () => {
  const lose = (name: string) => rig.cluster.node(name).network.sever();
  const bringBack = (name: string) => rig.cluster.node(name).network.mend();

  it('does not change the state of a restore whose rollback could not begin', async () => {
    const { operationId } = await rig.run((await rig.plan()).id);
    lose('db2');
    expect((await failure(rig.rollback(operationId))).row.exit).toBe('UNREACHABLE');
    expect(rig.stateOf()).toBe('switched');
    expect(rig.data()).toEqual(rig.restored());
  });

  it('can be left out of a rollback, and rolled back when it has returned', async () => {
    const { operationId } = await rig.run((await rig.plan()).id);
    lose('db2');
    expect(await rig.rollback(operationId, ['db2'])).toMatchObject({ state: 'rolled-back', leftOut: ['db2'] });
    expect(rig.data()).toEqual({ ...rig.restored(), db1: 'live', db3: 'live' });
    expect(await failure(rig.rollback(operationId, ['db2']))).toMatchObject({ code: 'NOTHING_TO_ROLL_BACK' });
    expect(await rig.finish(operationId, ['db2'])).toMatchObject({ state: 'rolled-back' });
    bringBack('db2');
    // Its old data is still aside.
    expect(await failure(rig.finish(operationId))).toMatchObject({ code: 'RESTORE_REFUSED', message: expect.stringContaining('db2') });
    await rig.rollback(operationId);
    rig.expectOld();
    expect(rig.stateOf()).toBe('rolled-back');
  });

  it('can be left out of a resume and of finishing, and comes to the same when it has returned', async () => {
    rig.cluster.node('db2').faults.once('task.switch', fails('SERVICE_FAILED'));
    await failure(rig.run((await rig.plan()).id));
    const operationId = rig.restoreId();
    lose('db2');
    const resumed = await rig.resume(operationId, ['db2']);
    expect(resumed).toMatchObject({ state: 'switched', leftOut: ['db2'] });
    expect(resumed.nodes.map(({ node }) => node)).toEqual(['db1', 'db3']);
    expect(await rig.finish(operationId, ['db2'])).toMatchObject({ state: 'finished', leftOut: ['db2'] });
    bringBack('db2');
    // It has staged only: there is nothing to discard on it, but something to throw away.
    expect(await failure(rig.finish(operationId))).toMatchObject({ code: 'RESTORE_REFUSED', message: expect.stringContaining('db2') });
    expect(await failure(rig.rollback(operationId))).toMatchObject({
      code: 'NOTHING_TO_ROLL_BACK',
      message: expect.stringContaining('db1'),
    });
    await rig.rollback(operationId, ['db1', 'db3']);
    expect(rig.stateOf()).toBe('finished');
    expect((await rig.plan()).problems).toEqual([]);
  });

  it('is resumed when it has returned', async () => {
    rig.cluster.node('db2').faults.once('task.switch', fails('SERVICE_FAILED'));
    await failure(rig.run((await rig.plan()).id));
    await rig.resume(rig.restoreId(), ['db2']);
    await rig.resume(rig.restoreId());
    rig.expectRestored();
    expect(await failure(rig.resume(rig.restoreId()))).toMatchObject({ code: 'RESTORE_REFUSED' });
  });

  it('need not be configured any more', async () => {
    const { operationId } = await rig.run((await rig.plan()).id);
    const nodes = rig.cluster.config.nodes.filter(({ name }) => name !== 'db2');
    const smaller = openController({ config: { ...rig.cluster.config, nodes }, clock: systemClock });
    expect(await failure(smaller.rollbackRestore(operationId, watchedRun()))).toMatchObject({ code: 'NODE_UNKNOWN' });
    expect(await smaller.rollbackRestore(operationId, { ...watchedRun(), without: ['db2'] })).toMatchObject({ leftOut: ['db2'] });
    await smaller.close();
  });

  it('is one of the restore, and not all of them', async () => {
    const { operationId } = await rig.run((await rig.plan()).id);
    expect(await failure(rig.rollback(operationId, ['db9']))).toMatchObject({ code: 'NODE_UNKNOWN' });
    expect(await failure(rig.rollback(operationId, ['db1', 'db2', 'db3']))).toMatchObject({ code: 'USAGE' });
    expect(rig.stateOf()).toBe('switched');
  });
});

describe('a restore that the journal has lost', () => {
  it('is rolled back by its id: the agents know it', async () => {
    const { operationId } = await rig.run((await rig.plan()).id);
    rig.forget();
    expect(await failure(rig.resume(operationId))).toMatchObject({ code: 'OPERATION_NOT_FOUND' });
    expect(await rig.rollback(operationId)).toMatchObject({ state: 'rolled-back', operationId });
    rig.expectOld();
    expect(rig.cluster.controller.listRestores()).toMatchObject([{ operationId, state: 'rolled-back' }]);
  });

  it('is finished by its id, and not resumed', async () => {
    const { operationId } = await rig.run((await rig.plan()).id);
    rig.forget();
    rig.cluster.node('db2').faults.once('task.finish', fails('INTERNAL'));
    await failure(rig.finish(operationId));
    expect(await failure(rig.resume(operationId))).toMatchObject({ code: 'RESTORE_REFUSED' });
    expect(await rig.finish(operationId)).toMatchObject({ state: 'finished' });
    expect((await rig.plan()).problems).toEqual([]);
  });

  it('is settled on the nodes that name it, which all are to be asked unless left out', async () => {
    rig.cluster.node('db3').faults.at('task.stage', fails('STAGE_FAILED'));
    await failure(rig.run((await rig.plan()).id));
    const operationId = rig.restoreId();
    rig.forget();
    rig.cluster.node('db2').network.sever();
    expect((await failure(rig.rollback(operationId))).row.exit).toBe('UNREACHABLE');
    expect(rig.cluster.controller.listRestores()).toEqual([]);
    rig.cluster.node('db2').network.mend();
    await rig.rollback(operationId);
    rig.expectOld();
    expect(await failure(rig.rollback('restore-20200101-000000-00000000'))).toMatchObject({ code: 'OPERATION_NOT_FOUND' });
  });
});
