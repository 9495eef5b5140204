import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import { failure } from './fake-cluster.ts';
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
