import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { BackupReport, RestorePlan, RestoreReport, SetSummary } from '@stillpoint/controller';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startCluster, type TestCluster } from '../harness/cluster.ts';
import { mark, markers, replicationProblem, shopChecksums, ticks, wipe } from '../harness/data.ts';
import { eventually } from '../harness/eventually.ts';
import type { Writer } from '../harness/writer.ts';

/** The main job, start to end, on one cluster: the tests are its chapters and run in order. */
describe('backup, wipe, restore, replication', () => {
  let cluster: TestCluster;
  let writer: Writer;
  let report: BackupReport;
  let lostAt: number;

  beforeAll(async () => {
    cluster = await startCluster({ mebibytes: 16 });
    writer = cluster.writer();
  });
  afterAll(async () => {
    await writer?.stop();
    await cluster?.remove();
  });

  it('finds the cluster fit', async () => {
    const checked = await cluster.run('cluster', 'check');
    expect(checked.all<{ status: string }>('check').filter(({ status }) => status === 'failed')).toEqual([]);
    expect(checked.exitCode).toBe(0);
  });

  it('shows what a backup would do and does nothing', async () => {
    const planned = await cluster.ok('backup', 'create', '--dry-run');
    expect(planned.line<{ nodes: unknown[] }>('backup-plan').nodes).toHaveLength(3);
    expect((await cluster.ok('backup', 'list')).all('set')).toEqual([]);
  });

  it('backs up under write load without an error for the client', async () => {
    await mark(cluster.primary.server, 'before');
    await eventually(() => writer.last > 50);
    const window = writer.window();
    report = (await cluster.ok('backup', 'create', '--probe')).line<BackupReport>('backup');
    expect(window().errors).toEqual([]);
    // What the agents measured contains what the client felt: from asking for the lock to giving it back.
    const reported = Math.max(...report.set.members.map((member) => member.blockedMs));
    expect(window().longestMs).toBeLessThan(reported + 1_000);
    expect(report.set.members.map((member) => member.node).toSorted()).toEqual(['db1', 'db2', 'db3']);
    // On a replica a write of the probe would be none of the primary's.
    const probed = report.set.members.filter(({ probe }) => probe !== undefined);
    expect(probed.map(({ node }) => node)).toEqual(['db1']);
    expect(probed[0]?.probe?.longestMs).toBeGreaterThan(0);
    expect(probed[0]?.probe?.longestMs).toBeLessThan(reported + 1_000);
    await mark(cluster.primary.server, 'after');
    writeFileSync(tuning(cluster), '# changed after the backup\n');
  });

  it('lists, shows and verifies the set', async () => {
    const listed = (await cluster.ok('backup', 'list')).all<SetSummary>('set');
    expect(listed).toMatchObject([{ setId: report.set.setId, state: 'good' }]);
    const shown = (await cluster.ok('backup', 'show', 'latest')).line<{ parts: { part: { checksums: unknown[] } }[] }>('set-detail');
    for (const { part } of shown.parts) expect(part.checksums.length).toBeGreaterThan(0);
    expect((await cluster.ok('backup', 'verify', report.set.setId)).line('verify').ok).toBe(true);
  });

  it('knows its sets again from the repositories alone', async () => {
    const listed = (await cluster.ok('backup', 'list', '--rescan')).all<SetSummary>('set');
    expect(listed.map((set) => set.setId)).toEqual([report.set.setId]);
  });

  it('restores after all three data directories were deleted', async () => {
    const last = writer.last;
    await eventually(() => writer.last > last + 50);
    await wipe(cluster.nodes.map((node) => node.server));
    lostAt = Date.now();
    const plan = (await cluster.ok('restore', 'plan', 'latest', '--replication', 'start')).line<RestorePlan>('restore-plan');
    expect(plan.problems).toEqual([]);
    const restored = (await cluster.ok('restore', 'run', plan.id)).line<RestoreReport>('restore');
    expect(restored.state).toBe('switched');
    for (const node of restored.nodes) expect(node.tablesEqual).toBeGreaterThan(0);
  });

  it('puts the configuration of the set back and keeps what it found', () => {
    expect(readFileSync(tuning(cluster), 'utf8')).toContain('max_connections=77');
    const found = readdirSync(dirname(tuning(cluster))).filter((name) => name.includes('.found-'));
    expect(found.map((name) => readFileSync(join(dirname(tuning(cluster)), name), 'utf8'))).toEqual(['# changed after the backup\n']);
  });

  it('holds every row of before the cut and none of after it', async () => {
    expect(await markers(cluster.primary.server)).toEqual(['before']);
    const rows = new Set(await ticks(cluster.primary.server));
    const before = writer.acknowledgedBefore(Date.parse(report.set.cutAt));
    const after = writer.sentBetween(Date.parse(report.set.releasedAt), lostAt);
    expect(before.length).toBeGreaterThan(0);
    expect(after.length).toBeGreaterThan(0);
    expect(before.filter((n) => !rows.has(n))).toEqual([]);
    expect(after.filter((n) => rows.has(n))).toEqual([]);
  });

  it('replicates again, and all three hold the same data', async () => {
    const last = writer.last;
    await eventually(() => writer.last > last + 10);
    const resume = await writer.pause();
    await mark(cluster.primary.server, 'new');
    await cluster.caughtUp();
    for (const { server } of cluster.replicas) expect(await replicationProblem(server)).toBeUndefined();
    const [primary, ...replicas] = await Promise.all(cluster.nodes.map(({ server }) => shopChecksums(server)));
    for (const sums of replicas) expect(sums).toEqual(primary);
    resume();
  });

  it('rolls back a restore over live data by renames', async () => {
    await finishRestore(cluster);
    await mark(cluster.primary.server, 'live');
    await cluster.caughtUp();
    const plan = (await cluster.ok('restore', 'plan', 'latest', '--replication', 'start')).line<RestorePlan>('restore-plan');
    const restored = (await cluster.ok('restore', 'run', plan.id, '--stop-servers')).line<RestoreReport>('restore');
    expect(await markers(cluster.primary.server)).toEqual(['before']);
    await cluster.ok('restore', 'rollback', restored.operationId, '--yes');
    for (const { server } of cluster.nodes) expect(await markers(server)).toEqual(['before', 'live', 'new']);
    await cluster.caughtUp();
    for (const { server } of cluster.replicas) expect(await replicationProblem(server)).toBeUndefined();
  });

  it('deletes the set on request only', async () => {
    const refused = await cluster.run('backup', 'delete', report.set.setId);
    expect(refused.line('error')).toMatchObject({ code: 'CONFIRMATION_MISSING' });
    await cluster.ok('backup', 'delete', report.set.setId, '--yes');
    expect((await cluster.ok('backup', 'list', '--rescan')).all('set')).toEqual([]);
    for (const { repository } of cluster.nodes) expect(filesBelow(repository).filter((file) => file.endsWith('.zst'))).toEqual([]);
  });

  it('left no password in any file of agents, controller and repositories', () => {
    const { stillpoint, replication } = cluster.passwords;
    const allowed = /\.password$|\/server\/|\/pki\//;
    const leaks = filesBelow(cluster.directory)
      .filter((file) => !allowed.test(file))
      .filter((file) => {
        const text = readFileSync(file, 'latin1');
        return text.includes(stillpoint) || text.includes(replication);
      });
    expect(leaks).toEqual([]);
  });
});

/** A configuration file of db1. */
const tuning = (cluster: TestCluster): string => join(cluster.primary.directory, 'etc/tuning.cnf');

async function finishRestore(cluster: TestCluster): Promise<void> {
  const [last] = (await cluster.ok('restore', 'list')).all<{ operationId: string }>('restore-operation');
  await cluster.ok('restore', 'finish', last?.operationId ?? '', '--yes');
}

const filesBelow = (directory: string): string[] =>
  readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .map((name) => join(directory, name))
    .filter((file) => statSync(file).isFile());
