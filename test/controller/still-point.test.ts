import { type ErrorCode, StillpointError } from '@stillpoint/shared/errors';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { type FakeCluster, failure, fakeCluster, type Identities, identities, watchedRun } from './fake-cluster.ts';
import { forever } from './faults.ts';

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

const fails = (code: ErrorCode) => () => {
  throw new StillpointError(code, `injected ${code}`);
};
const backup = (run = watchedRun()) => cluster.controller.createBackup({}, run);
const none = new AbortController().signal;

/**
 * Nobody waits, whoever is well was let go as soon as the other one had failed and not only with its node, nothing is left,
 * nothing is offered, it is known what went wrong, and the next backup works.
 */
async function expectNothingLeft(code: ErrorCode, ill = 'db2'): Promise<void> {
  for (const { history, locked, name, repository } of cluster.nodes) {
    if (name !== ill) expect(history.filter((what) => what.startsWith('unlocked:') && what !== 'unlocked: released')).toEqual([]);
    expect(locked).toBe(false);
    expect(repository.size).toBe(0);
    expect(history.filter((what) => what === 'locked').length).toBe(history.filter((what) => what.startsWith('unlocked')).length);
    expect(history).not.toContain('committed');
  }
  expect(await cluster.controller.listSets({ all: false, rescan: true }, none)).toEqual([]);
  expect(await cluster.controller.listSets({ all: true, rescan: false }, none)).toMatchObject([
    { state: 'failed', reason: expect.stringContaining(code) },
  ]);
  for (const { faults } of cluster.nodes) faults.clear();
  const { set } = await backup();
  expect(await cluster.controller.listSets({ all: false, rescan: true }, none)).toMatchObject([{ setId: set.setId, state: 'good' }]);
}

describe.each<[point: string, code: ErrorCode]>([
  ['claimNode', 'NODE_BUSY'],
  ['describeNode', 'INTERNAL'],
  ['checkNode', 'ACCESS_DENIED'],
  ['hold.ready', 'ENGINE_READ_ONLY'],
  ['hold.acquire', 'LOCK_TIMEOUT'],
  ['hold.acquire', 'SERVER_DOWN'],
  ['task.capture', 'DISK_FULL'],
  ['task.capture', 'CAPTURE_FAILED'],
  ['hold.attest', 'ATTEST_FAILED'],
  ['task.publish', 'DISK_FULL'],
])('a node that fails at %s with %s', (point, code) => {
  it('fails the backup with that error, and leaves nothing behind', async () => {
    cluster.node('db2').faults.at(point, fails(code));
    expect(await failure(backup())).toMatchObject({ code, node: 'db2', message: expect.stringContaining('injected') });
    await expectNothingLeft(code);
  });
});

it('asks no node for its lock before all are ready for it', async () => {
  const gate = cluster.node('db2').faults.gate('hold.ready');
  const running = backup();
  await gate.reached;
  expect(cluster.nodes.map(({ locked }) => locked)).not.toContain(true);
  gate.open();
  const { set } = await running;
  const phases = set.phases.map(({ phase, blocksWriters }) => `${phase} ${blocksWriters ? 'waits' : 'runs'}`);
  expect(phases.slice(1, 4)).toEqual(['precopy runs', 'ready runs', 'quiesce waits']);
});

describe.each([
  'claimNode',
  'describeNode',
  'checkNode',
  'hold.ready',
  'hold.acquire',
  'task.capture',
  'hold.attest',
  'task.publish',
  'commitSet',
])('an abort while a node is at %s', (point) => {
  it('ends in a resumed cluster and a recorded backup that is not good', async () => {
    const run = watchedRun();
    const gate = cluster.node('db2').faults.gate(point);
    const ended = failure(backup(run));
    await gate.reached;
    // Others may have gone as far as they could: what they committed is taken back.
    run.abort();
    expect(await ended).toMatchObject({ code: 'CANCELLED', message: expect.stringMatching(/was cancelled during \w+/) });
    for (const { history } of cluster.nodes) history.splice(0, Number.POSITIVE_INFINITY, ...history.filter((what) => what !== 'committed'));
    await expectNothingLeft('CANCELLED');
  });
});

describe('the locks', () => {
  it('are tried for again after everybody was let go, and the blocking session is named', async () => {
    const blockers = [
      { connectionId: 42, user: 'app', host: 'web1', ageMs: 90_000, command: 'Query', statement: 'UPDATE t', lockMode: '' },
    ];
    cluster.node('db2').faults.once('hold.acquire', () => {
      throw new StillpointError('LOCK_TIMEOUT', 'session 42 is in the way', { blockers });
    });
    const run = watchedRun();
    await backup(run);
    expect(run.events.find(({ type }) => type === 'retry')).toMatchObject({ attempt: 1, attempts: 2, node: 'db2', blockers });
    expect(cluster.node('db1').history.filter((what) => /locked/.test(what))).toEqual([
      'locked',
      'unlocked: released',
      'locked',
      'unlocked: released',
    ]);
  });

  it('are given up after as many attempts as are configured, with all who stood in the way', async () => {
    for (const name of ['db1', 'db3']) {
      const blockers = [
        { connectionId: name === 'db1' ? 1 : 3, user: 'app', host: 'web', ageMs: 1, command: 'Query', statement: '', lockMode: '' },
      ];
      cluster.node(name).faults.at('hold.acquire', () => {
        throw new StillpointError('LOCK_TIMEOUT', 'no', { blockers });
      });
    }
    const error = await failure(backup());
    expect(error).toMatchObject({ code: 'LOCK_TIMEOUT', message: expect.stringContaining('(in 2 attempts)') });
    expect(error.row.exit).toBe('LOCK');
    await expectNothingLeft('LOCK_TIMEOUT');
  });

  it('of the other nodes are released at once when one is refused, not when the slowest has answered', async () => {
    cluster.node('db3').faults.at('hold.acquire', forever);
    cluster.node('db2').faults.at('hold.acquire', fails('SERVER_DOWN'));
    const ended = failure(backup());
    await eventually(() => cluster.node('db1').history.includes('unlocked: released'));
    expect(await ended).toMatchObject({ code: 'SERVER_DOWN' });
  });
});

describe('a lock that is granted when nobody wants it any more', () => {
  it('is let go at once, and does not stand in the way of the next attempt', async () => {
    const [db1, db2, db3] = ['db1', 'db2', 'db3'].map((name) => cluster.node(name));
    db2?.faults.once('hold.acquire', fails('LOCK_TIMEOUT'));
    db3?.faults.once('hold.acquire', async () => {
      await eventually(() => db1?.history.includes('unlocked: released'));
    });
    const run = watchedRun();
    await backup(run);
    expect(run.events.filter(({ type }) => type === 'retry')).toHaveLength(1);
    expect(db3?.history.filter((what) => /locked/.test(what))).toEqual(['locked', 'unlocked: released', 'locked', 'unlocked: released']);
  });
});

describe('while the cluster stands still', () => {
  it('a failed capture lets all writers go on before the other captures have come to their end', async () => {
    const slow = Promise.withResolvers<void>();
    cluster.node('db1').faults.at('task.capture', () => slow.promise);
    const gate = cluster.node('db2').faults.gate('task.capture');
    const ended = failure(backup());
    await gate.reached;
    gate.fail(new StillpointError('DISK_FULL', 'no space'));
    // Shorter than the wait for a cancelled task to end.
    await eventually(() => cluster.nodes.every(({ locked }) => !locked), 8_000);
    slow.resolve();
    expect(await ended).toMatchObject({ code: 'DISK_FULL', node: 'db2' });
    await expectNothingLeft('DISK_FULL');
  });

  it('a hold that is lost on one node ends all captures', async () => {
    const gates = cluster.nodes.map(({ faults }) => faults.gate('task.capture'));
    const ended = failure(backup());
    await Promise.all(gates.map(({ reached }) => reached));
    cluster.node('db3').faults.at('hold.renew', fails('HOLD_LOST'));
    expect(await ended).toMatchObject({ code: 'HOLD_LOST', node: 'db3' });
    for (const { history } of cluster.nodes) expect(history).toContain('capture cancelled');
    await expectNothingLeft('HOLD_LOST', 'db3');
  });

  it('a node whose log moves under the lock voids the set', async () => {
    const gate = cluster.node('db2').faults.gate('hold.attest');
    const ended = failure(backup());
    await gate.reached;
    cluster.node('db2').server.offset += 1;
    gate.open();
    expect(await ended).toMatchObject({ code: 'ATTEST_FAILED', node: 'db2', message: expect.stringContaining('bin.000001:701') });
    await expectNothingLeft('ATTEST_FAILED');
  });

  it('an image of another position than that of the lock voids the set', async () => {
    const gate = cluster.node('db2').faults.gate('task.capture');
    const ended = failure(backup());
    await gate.reached;
    cluster.node('db2').server.offset += 1;
    gate.open();
    expect(await ended).toMatchObject({ code: 'CAPTURE_MOVED', node: 'db2' });
    cluster.node('db2').server.offset -= 1;
    await expectNothingLeft('CAPTURE_MOVED');
  });

  it('a connection that breaks is made again, and hold and capture go on', async () => {
    const { faults, history, network } = cluster.node('db2');
    const gate = faults.gate('task.capture');
    const done = backup();
    await gate.reached;
    network.cut();
    await eventually(() => history.includes('attached'));
    gate.open();
    await done;
    expect(history).toEqual(expect.arrayContaining(['capture succeeded', 'unlocked: released', 'committed']));
    expect(history.filter((what) => what === 'capture started')).toHaveLength(1);
  });

  it('an agent that is killed ends the backup, and the other nodes go on', async () => {
    const db2 = cluster.node('db2');
    const gate = db2.faults.gate('task.capture');
    const ended = failure(backup());
    await gate.reached;
    await db2.killAgent();
    expect(await ended).toMatchObject({ code: 'HOLD_LOST', node: 'db2' });
    for (const { locked } of cluster.nodes) expect(locked).toBe(false);
    await db2.startAgent();
    db2.repository.clear();
    await expectNothingLeft('HOLD_LOST');
  });

  it('an agent that says nothing more counts as lost after the lease', async () => {
    const { faults } = cluster.node('db2');
    const gate = faults.gate('task.capture');
    const ended = failure(backup());
    await gate.reached;
    faults.at('hold.renew', forever);
    expect(await ended).toMatchObject({ code: expect.stringMatching(/HOLD_LOST|LEASE_EXPIRED/), node: 'db2' });
    await eventually(() => cluster.nodes.every(({ locked }) => !locked));
  });

  it('a release that is not confirmed is left to the agent, and the set is none the worse', async () => {
    const { faults } = cluster.node('db2');
    faults.at('hold.release', forever);
    const run = watchedRun();
    const { set } = await backup(run);
    expect(run.events).toContainEqual(
      expect.objectContaining({ type: 'log', node: 'db2', message: expect.stringContaining('did not confirm the release') }),
    );
    expect(set.members).toHaveLength(3);
    expect(cluster.node('db2').locked).toBe(false);
  });
});
