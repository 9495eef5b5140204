import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { StillpointError } from '@stillpoint/shared/errors';
import { CheckStatus } from '@stillpoint/shared/proto';
import { systemClock } from '@stillpoint/shared/time';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { openController } from '../../packages/controller/src/index.ts';
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

it('describes every node, and says of a silent one why it is', async () => {
  cluster.node('db2').network.sever();
  const [db1, db2, db3] = await cluster.controller.describe(none);
  expect(db1).toMatchObject({ node: 'db1', facts: { node: 'db1' } });
  expect(db2?.error?.row.exit).toBe('UNREACHABLE');
  expect(db3?.facts).toBeDefined();
});

it('checks every node and the cluster', async () => {
  const healthy = await cluster.controller.check('backup', none);
  expect(healthy.ok).toBe(true);
  expect(healthy.nodes.map(({ results }) => results.length)).toEqual([1, 1, 1]);
  expect(healthy.cluster.find(({ name }) => name === 'cluster.primary')).toMatchObject({
    status: CheckStatus.OK,
    message: 'db1 is the primary',
  });
  cluster.node('db3').faults.at('checkNode', () => {
    throw new StillpointError('ACCESS_DENIED', 'the server refuses stillpoint@localhost');
  });
  const ill = await cluster.controller.check('backup', none);
  expect(ill.ok).toBe(false);
  expect(ill.nodes[2]?.error).toMatchObject({ code: 'ACCESS_DENIED', node: 'db3' });
});

it('calls nothing of the cluster in order when no node answers', async () => {
  await Promise.all(cluster.nodes.map((node) => node.killAgent()));
  const { cluster: results, nodes, ok } = await cluster.controller.check('backup', none);
  expect(ok).toBe(false);
  expect(nodes.every(({ error }) => error?.row.exit === 'UNREACHABLE')).toBe(true);
  expect(results.filter(({ status }) => status === CheckStatus.OK).map(({ name }) => name)).toEqual(['cluster.certificate']);
});

it('takes an agent of another series for none of ours', async () => {
  cluster.node('db2').agentVersion = '9.9.0';
  expect((await cluster.controller.describe(none))[1]?.error).toMatchObject({
    code: 'VERSION_SKEW',
    message: expect.stringContaining('9.9.0'),
  });
  expect(await failure(cluster.controller.createBackup({}, watchedRun()))).toMatchObject({ code: 'VERSION_SKEW', node: 'db2' });
});

it('does not mistake one agent for another', async () => {
  const { config } = cluster;
  const [db1, db2] = cluster.nodes.map(({ network }) => network.address);
  const nodes = [
    { name: 'db1', address: db2 ?? '' },
    { name: 'db2', address: db1 ?? '' },
  ];
  const controller = openController({ config: { ...config, nodes }, clock: systemClock });
  expect((await controller.describe(none)).map(({ error }) => error?.code)).toEqual(['NODE_MISMATCH', 'NODE_MISMATCH']);
  await controller.close();
});

it('plans a backup without touching anything', async () => {
  const plan = await cluster.controller.planBackup({}, none);
  expect(plan.nodes.map(({ node, source }) => [node, source])).toEqual([
    ['db1', ''],
    ['db2', 'db1'],
    ['db3', 'db1'],
  ]);
  expect(cluster.nodes.flatMap(({ history }) => history)).toEqual([]);
});

it('two controllers that know nothing of each other do not act at the same time', async () => {
  const gate = cluster.node('db2').faults.gate('task.capture');
  const first = cluster.controller.createBackup({}, watchedRun());
  await gate.reached;
  const other = openController({ config: { ...cluster.config, stateDir: join(cluster.config.stateDir, 'other') }, clock: systemClock });
  expect(await failure(other.createBackup({}, watchedRun()))).toMatchObject({ code: 'NODE_BUSY', node: 'db1' });
  await other.close();
  gate.open();
  await first;
});

it('looks at the cluster also when its own database is broken, and names the file otherwise', async () => {
  const path = join(cluster.config.stateDir, 'stillpoint.db');
  writeFileSync(path, 'this is not a database, but long enough to be mistaken for the head of one');
  expect((await cluster.controller.describe(none))[0]?.facts).toBeDefined();
  for (const work of [
    cluster.controller.listSets({ all: false, rescan: false }, none),
    cluster.controller.createBackup({}, watchedRun()),
  ]) {
    expect(await failure(work)).toMatchObject({ code: 'CATALOG_UNUSABLE', message: expect.stringContaining(path) });
  }
});

it('an observer that fails does not disturb what it observes', async () => {
  const observe = () => {
    throw new Error('the terminal is gone');
  };
  const { set } = await cluster.controller.createBackup({}, { signal: none, observe });
  expect(set.members).toHaveLength(3);
});
