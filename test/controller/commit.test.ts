import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { StillpointError } from '@stillpoint/shared/errors';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { thisProcess } from '../../packages/controller/src/journal/owner.ts';
import { eventually } from '../harness/eventually.ts';
import { controllerProcess } from './controller-process.ts';
import { type FakeCluster, failure, fakeCluster, type Identities, identities, watchedRun } from './fake-cluster.ts';

let ids: Identities;
let cluster: FakeCluster;

beforeAll(async () => {
  ids = await identities();
});
afterAll(() => ids?.remove());
beforeEach(async () => {
  cluster = await fakeCluster(ids);
});
afterEach(() => cluster?.remove());

const none = new AbortController().signal;
const list = (options: { all?: boolean; rescan?: boolean } = {}) =>
  cluster.controller.listSets({ all: false, rescan: false, ...options }, none);
const backup = () => cluster.controller.createBackup({}, watchedRun());
/** Nodes on which something of a set lies. */
const holders = (setId: string): string[] => cluster.nodes.filter(({ repository }) => repository.has(setId)).map(({ name }) => name);
const free = () => eventually(() => cluster.nodes.every(({ history }) => history.at(-1) === 'given back'), 15_000);

describe('a commit', () => {
  it('that fails on one node is taken back on the others', async () => {
    cluster.node('db3').faults.at('commitSet', () => {
      throw new StillpointError('DISK_FULL', 'no space for set.json');
    });
    const run = watchedRun();
    expect(await failure(cluster.controller.createBackup({}, run))).toMatchObject({ code: 'DISK_FULL', node: 'db3' });
    expect(cluster.nodes.flatMap(({ repository }) => [...repository.keys()])).toEqual([]);
    expect(await list({ rescan: true })).toEqual([]);
  });

  it('whose answer is lost is asked for again', async () => {
    const { faults, network } = cluster.node('db2');
    faults.once('commitSet.answer', () => network.cut());
    const { set } = await backup();
    expect(await list({ rescan: true })).toMatchObject([{ setId: set.setId, state: 'good' }]);
  });

  it('that reached only one node, which is out of reach now, leaves no good set; the next backup clears it away', async () => {
    const { faults, network } = cluster.node('db3');
    faults.once('commitSet.answer', () => network.sever());
    const error = await failure(backup());
    expect(error).toMatchObject({ node: 'db3', row: { exit: 'UNREACHABLE' } });
    network.mend();
    const [setId = ''] = cluster.node('db3').repository.keys();
    expect(holders(setId)).toEqual(['db3']);
    expect(await list({ rescan: true })).toMatchObject([
      { setId, state: 'incomplete', reason: 'set.json is missing on db1; set.json is missing on db2' },
    ]);

    const { set } = await backup();
    expect(holders(setId)).toEqual([]);
    expect((await list({ all: true })).find((one) => one.setId === setId)?.reason).toMatch(/NODE_UNREACHABLE|CONNECTION_LOST|DEADLINE/);
    expect((await list({ rescan: true })).map((one) => one.setId)).toEqual([set.setId]);
  });
});

describe('a controller that is killed while it commits', () => {
  it('has made no set when one node lacks it: the next backup takes the rest back', async () => {
    const gate = cluster.node('db3').faults.gate('commitSet');
    const controller = controllerProcess(cluster.config, 'backup');
    await gate.reached;
    await eventually(() => ['db1', 'db2'].every((name) => cluster.node(name).history.includes('committed')));
    await controller.kill();
    cluster.node('db3').faults.clear();
    const [setId = ''] = cluster.node('db1').repository.keys();
    expect(await list()).toEqual([]);
    expect(await list({ all: true })).toMatchObject([
      { setId, state: 'failed', reason: expect.stringContaining('ended in the middle of it') },
    ]);
    await backup();
    expect(holders(setId)).toEqual([]);
    expect(await list({ rescan: true })).toHaveLength(1);
  });

  it('has made a set when all nodes have it: the next backup records it', async () => {
    const { set } = await backup();
    // As if it had died between the last set.json and the catalog.
    const db = new DatabaseSync(join(cluster.config.stateDir, 'stillpoint.db'));
    db.exec(
      `DELETE FROM sets; UPDATE operations SET state = 'running', commit_open = 1, owner = '${JSON.stringify({ ...thisProcess(), birth: 'gone' })}'`,
    );
    db.close();
    expect(await list()).toEqual([]);
    const run = watchedRun();
    const next = await cluster.controller.createBackup({}, run);
    expect(run.events).toContainEqual(
      expect.objectContaining({ type: 'log', message: expect.stringContaining(`${set.setId} of ${set.operationId}`) }),
    );
    expect((await list()).map(({ setId }) => setId).toSorted()).toEqual([set.setId, next.set.setId].toSorted());
  });
});

describe('a commit that the journal has as open', () => {
  /** As if its controller had died between the catalog and the journal. */
  const reopenCommit = (operationId: string) => {
    const db = new DatabaseSync(join(cluster.config.stateDir, 'stillpoint.db'));
    db.exec(`UPDATE operations SET state = 'interrupted', commit_open = 1 WHERE id = '${operationId}'`);
    db.close();
  };

  it('does not cost a good set the parts that are left of it', async () => {
    const { set } = await backup();
    reopenCommit(set.operationId);
    cluster.node('db2').repository.clear();
    await backup();
    expect(holders(set.setId)).toEqual(['db1', 'db3']);
  });

  it('is closed by a rescan that finds the set good', async () => {
    const { set } = await backup();
    reopenCommit(set.operationId);
    expect(await list({ rescan: true })).toHaveLength(1);
    cluster.node('db2').repository.clear();
    await list({ rescan: true });
    await backup();
    expect(holders(set.setId)).toEqual(['db1', 'db3']);
  });
});

it('a controller that is killed in the still point leaves writers to the lease, and its backup is interrupted', async () => {
  const gates = cluster.nodes.map(({ faults }) => faults.gate('task.capture'));
  const controller = controllerProcess(cluster.config, 'backup');
  await Promise.all(gates.map(({ reached }) => reached));
  expect(await failure(backup())).toMatchObject({ code: 'OPERATION_RUNNING', message: expect.stringContaining(`pid ${controller.pid}`) });
  await controller.kill();
  await eventually(() => cluster.nodes.every(({ locked }) => !locked), 10_000);
  for (const { faults } of cluster.nodes) faults.clear();
  const { set } = await backup();
  expect(await list({ all: true })).toMatchObject([
    { setId: set.setId, state: 'good' },
    { state: 'failed', reason: expect.stringContaining('ended in the middle') },
  ]);
  await free();
});

describe('a rescan', () => {
  it('finds sets that the catalog lost', async () => {
    const { set } = await backup();
    const db = new DatabaseSync(join(cluster.config.stateDir, 'stillpoint.db'));
    db.exec('DELETE FROM sets; DELETE FROM operations WHERE 0');
    db.close();
    expect(await list()).toEqual([]);
    expect(await list({ rescan: true })).toMatchObject([
      { setId: set.setId, state: 'good', operationId: set.operationId, blockedMs: 1_234 },
    ]);
    expect((await cluster.controller.showSet('latest', none)).parts.map(({ node, part }) => [node, part?.node])).toEqual([
      ['db1', 'db1'],
      ['db2', 'db2'],
      ['db3', 'db3'],
    ]);
  });

  it('finds what is left of sets when a node has lost its repository: the other nodes can be restored', async () => {
    const { set } = await backup();
    cluster.node('db2').repository.clear();
    expect(await list({ rescan: true })).toMatchObject([{ setId: set.setId, state: 'incomplete', reason: 'set.json is missing on db2' }]);
    const request = { setId: set.setId, replication: 'start', restoreConfiguration: false } as const;
    const seeded = await cluster.controller.planRestore({ ...request, replicas: 'auto' }, none);
    expect(seeded.problems).toEqual([]);
    expect(seeded.nodes.map(({ node, image }) => `${node} from ${image}`)).toEqual(['db1 from db1', 'db2 from db1', 'db3 from db3']);
    const own = await cluster.controller.planRestore({ ...request, replicas: 'own' }, none);
    expect(own.problems).toMatchObject([{ node: 'db2', message: expect.stringContaining('the part of db2 cannot be used') }]);
    await cluster.controller.runRestore(seeded.id, { ...watchedRun(), stopServers: true });
    expect(cluster.nodes.map(({ server }) => server.data)).toEqual([`${set.setId}/db1`, `${set.setId}/db1`, `${set.setId}/db3`]);
  });

  it('keeps what it knows while a node is silent, and drops what is gone', async () => {
    const first = await backup();
    const second = await backup();
    for (const { repository } of cluster.nodes) repository.delete(first.set.setId);
    cluster.node('db2').network.sever();
    expect((await list({ rescan: true })).map(({ setId }) => setId)).toEqual([second.set.setId, first.set.setId]);
    cluster.node('db2').network.mend();
    expect((await list({ rescan: true })).map(({ setId }) => setId)).toEqual([second.set.setId]);
  });
});

describe('deleting a set', () => {
  it('removes it from all nodes, also when one has lost its part already', async () => {
    const { set } = await backup();
    cluster.node('db2').repository.clear();
    expect(await cluster.controller.deleteSet(set.setId, watchedRun())).toEqual({ setId: set.setId, freedBytes: 200 });
    expect(holders(set.setId)).toEqual([]);
    expect(await list({ all: true, rescan: true })).toEqual([]);
  });

  it('that fails half-way leaves a set that is not offered, and can be deleted again', async () => {
    const { set } = await backup();
    cluster.node('db2').faults.once('deletePart', () => {
      throw new StillpointError('INTERNAL', 'injected');
    });
    await failure(cluster.controller.deleteSet(set.setId, watchedRun()));
    expect(await list()).toEqual([]);
    expect(await list({ all: true })).toMatchObject([{ state: 'failed', reason: expect.stringContaining('its deletion was begun') }]);
    await cluster.controller.deleteSet(set.setId, watchedRun());
    expect(await list({ all: true, rescan: true })).toEqual([]);
  });

  it('needs a set that is known', async () => {
    expect(await failure(cluster.controller.deleteSet('20200101-000000-00000000', watchedRun()))).toMatchObject({ code: 'SET_NOT_FOUND' });
  });
});

describe('verifying a set', () => {
  it('reads every part', async () => {
    const { set } = await backup();
    const report = await cluster.controller.verifySet('latest', watchedRun());
    expect(report).toMatchObject({ setId: set.setId, ok: true });
    expect(report.nodes.map(({ problems }) => problems)).toEqual([[], [], []]);
  });

  it('says which part is missing, damaged or replaced', async () => {
    const { set } = await backup();
    cluster.node('db1').repository.delete(set.setId);
    cluster.node('db2').faults.at('task.verify', () => {
      throw new StillpointError('PART_CORRUPT', 'mariadb.full.mbstream.zst is cut short');
    });
    const entry = cluster.node('db3').repository.get(set.setId);
    if (entry?.part !== undefined) entry.part = Buffer.concat([entry.part, Buffer.from('\n')]);
    const { nodes, ok } = await cluster.controller.verifySet(set.setId, watchedRun());
    expect(ok).toBe(false);
    expect(Object.fromEntries(nodes.map(({ node, problems }) => [node, problems.join()]))).toEqual({
      db1: expect.stringContaining('no part.json'),
      db2: 'mariadb.full.mbstream.zst is cut short',
      db3: 'part.json is not the one that the set recorded',
    });
  });

  it('does not call a set sound of which it could not see all', async () => {
    const { set } = await backup();
    cluster.node('db2').network.sever();
    expect((await failure(cluster.controller.verifySet(set.setId, watchedRun()))).row.exit).toBe('UNREACHABLE');
  });
});
