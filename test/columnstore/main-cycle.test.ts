import type { BackupReport, RestorePlan, RestoreReport } from '@stillpoint/controller';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import type { Writer } from '../harness/writer.ts';
import { type Agents, startAgents } from './harness/agents.ts';
import { importRows } from './harness/bulk-load.ts';
import { type ColumnstoreCluster, startColumnstoreCluster } from './harness/cluster.ts';
import { loseEverything } from './harness/lose-everything.ts';
import { makeShop, numbers, type Sums, shopSums, startShopWriter } from './harness/shop.ts';

const SALES = 30_000;

/** The main job on the real engine, start to end: the tests are its chapters and run in order. */
describe.each([
  [1, 'precopy'],
  [3, 'auto'],
] as const)('backup, wipe and restore of %i node(s), by %s', (count, capture) => {
  let cluster: ColumnstoreCluster;
  let agents: Agents;
  let writers: readonly Writer[];
  let report: BackupReport;
  let atCut: Readonly<Record<string, Sums>>;
  let lostAt: number;

  beforeAll(async () => {
    cluster = await startColumnstoreCluster({ nodes: count });
    await makeShop(cluster, SALES);
    agents = await startAgents(cluster);
    const last = cluster.nodes.at(-1) ?? cluster.primary;
    writers = [startShopWriter(cluster.primary), startShopWriter(last, 'ticks_elsewhere', 1_000_001)];
  });
  afterAll(async () => {
    await Promise.all((writers ?? []).map((writer) => writer.stop()));
    await cluster?.remove();
  });

  /** Ready for writes, and no table is locked while nobody writes. */
  const expectHealthy = async () => {
    expect(await cluster.status()).toBe('OK. (and the system is ready)');
    const resumes = await Promise.all(writers.map((writer) => writer.pause()));
    expect(await cluster.locks()).toBe('');
    for (const resume of resumes) resume();
  };
  /** Tables that nobody writes to meanwhile. */
  const stillTables = (sums: Readonly<Record<string, Sums>>) =>
    Object.fromEntries(Object.entries(sums).filter(([table]) => ['sales', 'returns', 'customers'].includes(table)));

  it('finds the cluster fit', async () => {
    const checked = await agents.run('cluster', 'check');
    expect(checked.all<{ status: string }>('check').filter(({ status }) => status === 'failed')).toEqual([]);
    expect(checked.exitCode).toBe(0);
  });

  it('backs up while clients insert: they wait, and no statement fails', async () => {
    await eventually(() => writers.every((writer) => writer.written > 5));
    atCut = stillTables(await shopSums(cluster.primary));
    const windows = writers.map((writer) => writer.window());
    report = (await agents.ok('backup', 'create', '--capture', capture)).line<BackupReport>('backup');
    for (const window of windows) expect(window().errors).toEqual([]);
    expect(report.set.members.flatMap(({ dbroots }) => dbroots)).toEqual(cluster.nodes.flatMap(({ dbroots }) => dbroots));
    expect(report.set.phases.map(({ phase }) => phase)).toEqual(
      expect.arrayContaining(['precopy', 'drain', 'suspend', 'flush', 'capture', 'attest', 'resume']),
    );
    const written = writers.map((writer) => writer.written);
    await eventually(() => writers.every((writer, index) => writer.written > (written[index] ?? 0)));
    await expectHealthy();
  });

  it('verifies the set', async () => {
    expect((await agents.ok('backup', 'verify', 'latest')).line('verify').ok).toBe(true);
  });

  it('restores after every node lost dbroots and data directory', async () => {
    await importRows(cluster.primary, { first: 5_000_001, rows: 2_000 });
    const written = writers.map((writer) => writer.written);
    await eventually(() => writers.every((writer, index) => writer.written > (written[index] ?? 0) + 5));
    await loseEverything(cluster);
    lostAt = Date.now();
    const plan = (await agents.ok('restore', 'plan', 'latest', '--replication', 'start')).line<RestorePlan>('restore-plan');
    expect(plan.problems).toEqual([]);
    const restored = (await agents.ok('restore', 'run', plan.id)).line<RestoreReport>('restore');
    expect(restored.state).toBe('switched');
    await expectHealthy();
  });

  it('holds what the cut held, on every node', async () => {
    const [first, ...others] = await Promise.all(cluster.nodes.map(async (node) => stillTables(await shopSums(node))));
    expect(first).toEqual(atCut);
    for (const other of others) expect(other).toEqual(first);
  });

  it('holds every row that a client wrote before the cut, and none of after it', async () => {
    for (const [index, writer] of writers.entries()) {
      const rows = new Set(await numbers(cluster.primary, index === 0 ? 'ticks' : 'ticks_elsewhere'));
      const before = writer.acknowledgedBefore(Date.parse(report.set.cutAt));
      const after = writer.sentBetween(Date.parse(report.set.releasedAt), lostAt);
      expect(before.length).toBeGreaterThan(0);
      expect(after.length).toBeGreaterThan(0);
      expect(before.filter((n) => !rows.has(n))).toEqual([]);
      expect(after.filter((n) => rows.has(n))).toEqual([]);
    }
  });

  it('takes INSERT, UPDATE, CREATE and cpimport again, on every node', async () => {
    const written = writers.map((writer) => writer.written);
    await eventually(() => writers.every((writer, index) => writer.written > (written[index] ?? 0) + 3));
    for (const [index, node] of cluster.nodes.entries()) {
      await importRows(node, { first: 8_000_001 + index * 1_000, rows: 1_000 });
      await node.sql(`UPDATE shop.returns SET reason = 'changed on ${node.name}' WHERE id = ${index + 1}`);
    }
    await cluster.primary.sql('CREATE TABLE shop.later (id BIGINT) ENGINE=ColumnStore', 'INSERT INTO shop.later VALUES (1)');
    await cluster.caughtUp();
    for (const node of cluster.nodes) {
      const [row] = await node.sql('SELECT (SELECT COUNT(*) FROM shop.sales) AS sales, (SELECT COUNT(*) FROM shop.later) AS later');
      expect({ sales: Number(row?.sales), later: Number(row?.later) }).toEqual({ sales: SALES + cluster.nodes.length * 1_000, later: 1 });
    }
    await expectHealthy();
  });

  it('rolls back a restore over live data', async () => {
    const [done] = (await agents.ok('restore', 'list')).all<{ operationId: string }>('restore-operation');
    await agents.ok('restore', 'finish', done?.operationId ?? '', '--yes');
    const plan = (await agents.ok('restore', 'plan', 'latest', '--replication', 'start')).line<RestorePlan>('restore-plan');
    const { operationId } = (await agents.ok('restore', 'run', plan.id, '--stop-servers')).line<RestoreReport>('restore');
    expect(stillTables(await shopSums(cluster.primary))).toEqual(atCut);
    await agents.ok('restore', 'rollback', operationId, '--yes');
    await eventually(async () => (await cluster.status()) === 'OK. (and the system is ready)');
    for (const node of cluster.nodes) {
      const [row] = await node.sql('SELECT COUNT(*) AS sales FROM shop.sales');
      expect(Number(row?.sales)).toBe(SALES + cluster.nodes.length * 1_000);
    }
    const written = writers.map((writer) => writer.written);
    await eventually(() => writers.every((writer, index) => writer.written > (written[index] ?? 0) + 3));
    await expectHealthy();
  });
});
