import type { BackupReport } from '@stillpoint/controller';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startCluster, type TestCluster } from '../harness/cluster.ts';
import { eventually } from '../harness/eventually.ts';
import { expectNextBackupWorks, goodSets } from '../harness/expect.ts';
import type { Writer } from '../harness/writer.ts';

/** What a dead controller or agent may cost writers: the lease and two seconds. */
const BOUND_MS = 3_000 + 2_000;

let cluster: TestCluster;
let writer: Writer;

beforeAll(async () => {
  cluster = await startCluster({ mebibytes: 8 });
  writer = cluster.writer();
});
afterEach(() => cluster?.openGates());
afterAll(async () => {
  await writer?.stop();
  await cluster?.remove();
});

/** Nothing of mariadb-backup is left on servers, and tables can be made and locked. */
async function nothingWaits(nodes = cluster.nodes): Promise<void> {
  for (const { server } of nodes) {
    await eventually(
      async () => (await server.sql("SELECT 1 FROM information_schema.processlist WHERE info LIKE 'BACKUP STAGE%'")).length === 0,
    );
    await server.sql('SET lock_wait_timeout = 10; LOCK TABLES stillpoint.gate WRITE');
    // Tables without transactions wait for its last stages.
    await server.sql(
      'SET lock_wait_timeout = 10; SET sql_log_bin = 0; INSERT INTO shop.notes SELECT COALESCE(MAX(id), 0) + 1, NULL FROM shop.notes',
    );
  }
}

it('every server of the cluster is captured by the gate, replicas that are read_only too', async () => {
  const plan = (await cluster.ok('backup', 'create', '--dry-run')).line<{ nodes: { captures: { storage: string; strategy: string }[] }[] }>(
    'backup-plan',
  );
  expect(plan.nodes.map(({ captures }) => captures)).toEqual(
    cluster.nodes.map(() => [expect.objectContaining({ storage: 'server', strategy: 'gate' })]),
  );
  const { set } = (await cluster.ok('backup', 'create')).line<BackupReport>('backup');
  expect(set.phases.map(({ phase }) => phase)).toContain('park');
  await cluster.ok('backup', 'verify', set.setId);
  await nothingWaits();
});

describe.each(['park', 'quiesce', 'capture'])('an agent that is killed during %s', (phase) => {
  it('takes along what waited at its gate, and costs the set', async () => {
    const node = cluster.node('db1');
    const before = await goodSets(cluster);
    const window = writer.window();
    const command = cluster.start('backup', 'create');
    await command.until((line) => line.type === 'phase' && line.phase === phase);
    await node.agent.kill('SIGKILL');
    const written = writer.last;
    await eventually(() => writer.last > written + 5);
    // The others wait for what becomes of this one.
    await nothingWaits([node]);
    await node.agent.start();
    const ended = await command.ended;
    await nothingWaits();
    if (ended.exitCode !== 0) expect(await goodSets(cluster)).toEqual(before);
    const noticed = window();
    expect(noticed.errors).toEqual([]);
    expect(noticed.longestMs).toBeLessThan(BOUND_MS);
    await expectNextBackupWorks(cluster);
  });
});

describe.each(['park', 'quiesce', 'capture'])('a controller that is killed during %s', (phase) => {
  it('leaves nothing that waits at a gate once the nodes are free again', async () => {
    const window = writer.window();
    const command = cluster.start('backup', 'create');
    await command.until((line) => line.type === 'phase' && line.phase === phase);
    command.kill('SIGKILL');
    await command.ended;
    const written = writer.last;
    await eventually(() => writer.last > written + 5);
    await expectNextBackupWorks(cluster);
    await nothingWaits();
    expect(window().errors).toEqual([]);
  });
});
