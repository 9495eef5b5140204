import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startCluster, type TestCluster, type TestNode } from '../harness/cluster.ts';
import { eventually } from '../harness/eventually.ts';
import { expectNextBackupWorks, expectRefusal, goodSets } from '../harness/expect.ts';
import { descendants, killQuietly } from '../harness/processes.ts';
import { canMount, fillDisk } from '../harness/small-disk.ts';
import type { Writer } from '../harness/writer.ts';

/** What the writers may lose at most when somebody who holds a lock dies: the lease and two seconds. */
const LEASE_MS = 3_000;
const BOUND_MS = LEASE_MS + 2_000;

const mounts = canMount();
let cluster: TestCluster;
let writer: Writer;

beforeAll(async () => {
  // Under the lock, so that writers wait while the copy is held open; what a copy at the gate meets is in gate.test.ts.
  const backup = { capture: 'locked' };
  cluster = await startCluster({ mebibytes: 8, backup, smallDisk: mounts ? { of: 'repository', size: '300m' } : undefined });
  writer = cluster.writer();
});
afterEach(() => cluster?.openGates());
afterAll(async () => {
  await writer?.stop();
  await cluster?.remove();
});

/** Shards that lie in the repository of a node outside of sets that are good. */
async function strayShards(node: TestNode): Promise<string[]> {
  const good = await goodSets(cluster);
  const below = join(node.repository, cluster.name);
  if (!existsSync(below)) return [];
  return readdirSync(below, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.zst'))
    .filter((file) => !good.some((setId) => file.startsWith(`${setId}/`)));
}

describe('a capture that fails', () => {
  it.skipIf(!mounts)('because the disk runs full: said so, removed, writers go on', async () => {
    const node = cluster.node('db3');
    const ballast = join(node.repository, 'ballast');
    const gate = node.captureGate();
    const command = cluster.start('backup', 'create');
    await gate.reached();
    fillDisk(ballast);
    gate.open();
    const ended = await command.ended;
    rmSync(ballast);
    expect(expectRefusal(ended, 'DISK_FULL')).toMatchObject({ node: 'db3' });
    expect(await strayShards(node)).toEqual([]);
    await expectNextBackupWorks(cluster);
  });

  it('because mariadb-backup is killed in the middle of its stream: its last lines are told', async () => {
    const node = cluster.node('db2');
    const gate = node.captureGate();
    const command = cluster.start('backup', 'create');
    await gate.reached();
    const agent = node.agent.pid ?? 0;
    const [tool] = await eventually(() => nonEmpty(descendants(agent, /mariadb-backup .*--backup/)));
    killQuietly(tool?.pid ?? 0, 'SIGKILL');
    gate.open();
    expect(expectRefusal(await command.ended, 'CAPTURE_FAILED')).toMatchObject({ node: 'db2' });
    expect(await strayShards(node)).toEqual([]);
    await expectNextBackupWorks(cluster);
  });

  it('because the server is killed under it', async () => {
    const node = cluster.node('db3');
    const gate = node.captureGate();
    const command = cluster.start('backup', 'create');
    await gate.reached();
    await node.server.kill('SIGKILL');
    gate.open();
    const ended = await command.ended;
    expect(ended.exitCode).not.toBe(0);
    expect(ended.line('error')).toMatchObject({ node: 'db3' });
    await node.server.start();
    await expectNextBackupWorks(cluster);
  });

  it('because the session with the lock is killed: the set is void although mariadb-backup succeeds', async () => {
    const node = cluster.node('db1');
    const gate = node.captureGate();
    const command = cluster.start('backup', 'create');
    await gate.reached();
    const holders = await node.server.sql(
      `SELECT thread_id AS id FROM information_schema.metadata_lock_info WHERE lock_mode LIKE 'MDL_BACKUP_FTWRL%'`,
    );
    for (const { id } of holders) await node.server.sql(`KILL ${id}`);
    gate.open();
    expectRefusal(await command.ended, 'HOLD_LOST');
    await expectNextBackupWorks(cluster);
  });
});

describe.each(['check', 'ready', 'quiesce', 'capture', 'attest', 'publish', 'commit'])('an agent that is killed during %s', (phase) => {
  it('costs the set, not the cluster', async () => {
    const node = cluster.node('db1');
    const before = await goodSets(cluster);
    const window = writer.window();
    const command = cluster.start('backup', 'create');
    await command.until((line) => line.type === 'phase' && line.phase === phase);
    await node.agent.kill('SIGKILL');
    const written = writer.last;
    await eventually(() => writer.last > written + 5);
    await node.agent.start();
    const ended = await command.ended;
    const noticed = window();
    expect(noticed.errors).toEqual([]);
    expect(noticed.longestMs).toBeLessThan(BOUND_MS);
    // A commit that had reached all nodes before the agent died is a set; anything else is none.
    const after = await goodSets(cluster);
    if (ended.exitCode === 0) expect(after).toHaveLength(before.length + 1);
    else expect(after).toEqual(before);
    await expectNextBackupWorks(cluster);
    expect(await strayShards(node)).toEqual([]);
  });
});

it('an agent that is frozen during capture is dropped by its server within the lease', async () => {
  const node = cluster.node('db1');
  const before = await goodSets(cluster);
  const gate = node.captureGate();
  const window = writer.window();
  const command = cluster.start('backup', 'create');
  await gate.reached();
  await node.agent.kill('SIGSTOP');
  const written = writer.last;
  await eventually(() => writer.last > written + 5);
  await node.agent.kill('SIGCONT');
  gate.open();
  const ended = await command.ended;
  expect(ended.exitCode).not.toBe(0);
  const noticed = window();
  expect(noticed.errors).toEqual([]);
  expect(noticed.longestMs).toBeLessThan(BOUND_MS + 1_000);
  expect(await goodSets(cluster)).toEqual(before);
  await expectNextBackupWorks(cluster);
});

const nonEmpty = <T>(list: readonly T[]): readonly T[] | undefined => (list.length > 0 ? list : undefined);
