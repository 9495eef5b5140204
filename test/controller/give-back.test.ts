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
/** Counts how often db1 is given back. */
const counted = (): (() => number) => {
  let calls = 0;
  cluster.node('db1').faults.at('releaseNode', () => {
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
