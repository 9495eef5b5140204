import { StillpointError } from '@stillpoint/shared/errors';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
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

const fails = () => {
  throw new StillpointError('INTERNAL', 'injected');
};
/** Counts how often a node is given back. */
const counted = (point = 'releaseNode', node = 'db1'): (() => number) => {
  let calls = 0;
  cluster.node(node).faults.at(point, () => {
    calls += 1;
  });
  return () => calls;
};
const failedBackup = async () => {
  cluster.node('db2').faults.once('task.capture', fails);
  await failure(cluster.controller.createBackup({}, watchedRun()));
};

it('nodes that a failed operation has given back are not given back once more', async () => {
  const calls = counted();
  await failedBackup();
  expect(calls()).toBe(1);
  await cluster.controller.createBackup({}, watchedRun());
  expect(calls()).toBe(2);
});

it('nodes that could not be told are told by the next operation, before it begins', async () => {
  const calls = counted();
  cluster.node('db3').faults.once('releaseNode', fails);
  await failedBackup();
  await cluster.controller.createBackup({}, watchedRun());
  expect(calls()).toBe(3);
  await cluster.controller.createBackup({}, watchedRun());
  expect(calls()).toBe(4);
});

it('nodes of a failed operation keep what another one can use again, also those that learn of it late', async () => {
  const [atOnce, late] = [counted('releaseNode.broken-off'), counted('releaseNode.broken-off', 'db3')];
  cluster.node('db3').faults.once('releaseNode', fails);
  await failedBackup();
  expect([atOnce(), late()]).toEqual([1, 0]);
  await cluster.controller.createBackup({}, watchedRun());
  // Once more for the failed one, and not for the one that succeeded.
  expect([atOnce(), late()]).toEqual([2, 1]);
});
