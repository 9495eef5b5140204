import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { BLOCKERS, type BlockingClient, startBlocker } from '../harness/blocker.ts';
import { startCluster, type TestCluster } from '../harness/cluster.ts';
import { expectNextBackupWorks, expectRefusal, goodSets } from '../harness/expect.ts';
import type { Writer } from '../harness/writer.ts';

/** What the bounds below promise to a client, and what a busy machine may add to it. */
const LOCK_TIMEOUT_MS = 1_000;
const SLACK_MS = 1_000;

let cluster: TestCluster;
let writer: Writer;
let blocker: BlockingClient | undefined;

beforeAll(async () => {
  // Nothing is copied before the lock: a copy at the gate would wait for the same sessions, without anybody waiting for it.
  cluster = await startCluster({ backup: { capture: 'locked', lockTimeout: '1s', lockAttempts: 2, lockBackoff: '1s' } });
  writer = cluster.writer();
});
afterEach(async () => {
  cluster.openGates();
  await blocker?.end();
  blocker = undefined;
});
afterAll(async () => {
  await writer?.stop();
  await cluster?.remove();
});

const block = async (node: string, statement: string): Promise<BlockingClient> => {
  blocker = await startBlocker(cluster.node(node).server, 'root', '', statement);
  return blocker;
};

describe.each([
  ['a running UPDATE', 'db1'],
  ['a running DDL', 'db2'],
  ['an idle LOCK TABLES WRITE', 'db3'],
] as const)('%s on %s in the way', (kind, node) => {
  it('is named; the lock is tried again and given up, and the client never waits longer than the bound', async () => {
    const { connectionId } = await block(node, BLOCKERS[kind]);
    const window = writer.window();
    const ended = await cluster.run('backup', 'create');
    const noticed = window();
    const error = expectRefusal(ended, 'LOCK_TIMEOUT');
    expect(error.node).toBe(node);
    expect(error.blockers).toContainEqual(expect.objectContaining({ connectionId, user: 'root' }));
    expect(ended.all('retry')).toMatchObject([{ node, attempt: 1 }]);
    if (kind !== 'an idle LOCK TABLES WRITE') {
      expect(error.blockers.find((one) => one.connectionId === connectionId)?.statement).toContain(BLOCKERS[kind].slice(0, 30));
    }
    expect(noticed.errors).toEqual([]);
    expect(noticed.longestMs).toBeLessThan(LOCK_TIMEOUT_MS + SLACK_MS);
    expect(await goodSets(cluster)).toEqual([]);
  });

  it('is no matter once it has gone: the next attempt gets the lock', async () => {
    await block(node, BLOCKERS[kind]);
    const command = cluster.start('backup', 'create');
    await command.until((line) => line.type === 'retry');
    await blocker?.end();
    const ended = await command.ended;
    expect({ exitCode: ended.exitCode, errors: ended.all('error') }).toEqual({ exitCode: 0, errors: [] });
    await cluster.ok('backup', 'delete', ended.line<{ setId: string }>('backup').setId, '--yes');
  });
});

describe('a budget for the block', () => {
  it('ends a backup that would shut writers out for longer', async () => {
    const gate = cluster.node('db2').captureGate();
    const window = writer.window();
    const command = cluster.start('backup', 'create', '--max-block', '2s');
    await gate.reached();
    const ended = await command.ended;
    gate.open();
    expectRefusal(ended, 'BLOCK_BUDGET');
    const noticed = window();
    expect(noticed.errors).toEqual([]);
    expect(noticed.longestMs).toBeLessThan(2_000 + SLACK_MS);
    await expectNextBackupWorks(cluster);
  });
});
