import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { type FakeCluster, fakeCluster, type Identities, identities, watchedRun } from './fake-cluster.ts';

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

it('a backup holds all nodes, captures, attests, resumes, publishes and commits', async () => {
  const run = watchedRun();
  const { set, operationId } = await cluster.controller.createBackup({}, run);
  for (const { history, locked, repository } of cluster.nodes) {
    expect(locked).toBe(false);
    expect(repository.get(set.setId)?.set).toBeDefined();
    expect(history).toEqual([
      'claimed',
      // One task: there is no dbroot.
      'precopy started',
      'precopy succeeded',
      'locked',
      'capture started',
      'capture succeeded',
      'unlocked: released',
      'publish started',
      'publish succeeded',
      'committed',
      'given back',
    ]);
  }
  expect(set.members.map(({ node, source, roles, blockedMs }) => ({ node, source, roles, blockedMs }))).toEqual([
    { node: 'db1', source: '', roles: ['sql', 'primary'], blockedMs: 1_234 },
    { node: 'db2', source: 'db1', roles: ['sql'], blockedMs: 1_234 },
    { node: 'db3', source: 'db1', roles: ['sql'], blockedMs: 1_234 },
  ]);
  expect(set.phases.map(({ phase }) => phase)).toEqual(['check', 'precopy', 'ready', 'quiesce', 'capture', 'attest', 'resume', 'publish']);
  expect(run.events.filter(({ type }) => type === 'phase').length).toBe(9);
  expect(await cluster.controller.listSets({ all: true, rescan: false }, run.signal)).toMatchObject([
    { setId: set.setId, operationId, state: 'good' },
  ]);
});
