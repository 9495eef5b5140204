import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BackupReport, RestorePlan, RestoreReport, SetSummary, VerifyReport } from '@stillpoint/controller';
import type { PartDbroot, PartManifest } from '@stillpoint/shared/manifest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import type { Writer } from '../harness/writer.ts';
import { type Agents, startAgents } from './harness/agents.ts';
import { importRows } from './harness/bulk-load.ts';
import { type ColumnstoreCluster, type ColumnstoreNode, startColumnstoreCluster } from './harness/cluster.ts';
import { type Gauge, readGauge, startGauge } from './harness/gauge.ts';
import { loseEverything } from './harness/lose-everything.ts';
import { makeShop, numbers, type Sums, shopSums, startShopWriter } from './harness/shop.ts';

/** Tables that clients write to all the time: they are proven by what each client sent and saw. */
const BUSY: readonly string[] = ['ticks', 'ticks_elsewhere', 'gauge'];

/** A set, and what a client knew when it was taken. */
interface Cut {
  readonly report: BackupReport;
  /** Of every table but the busy ones. */
  readonly sums: Readonly<Record<string, Sums>>;
  /** Numbers of the gauge: the least and the most that may be in the set. */
  readonly gauge: readonly [least: number, most: number];
  /** What the writers' tables held, of a set that was taken while nobody wrote. Restores before it have taken rows away that a writer knows of. */
  readonly ticks?: readonly (readonly number[])[];
}

/** A full set and its increments while clients write, each of them restored: the tests are chapters and run in order. */
describe('increments of a cluster of two nodes', () => {
  let cluster: ColumnstoreCluster;
  let agents: Agents;
  let writers: readonly Writer[];
  let gauge: Gauge;
  const cuts: Cut[] = [];
  const cut = (index: number): Cut => {
    const found = cuts.at(index);
    if (found === undefined) throw new Error(`there is no cut ${index}`);
    return found;
  };
  const setId = (index: number): string => cut(index).report.set.setId;

  beforeAll(async () => {
    cluster = await startColumnstoreCluster({ nodes: 2 });
    await makeShop(cluster, 20_000);
    await cluster.primary.sql(
      'CREATE TABLE shop.history (id BIGINT, customer INT, amount DECIMAL(12,2), day DATE, note VARCHAR(120)) ENGINE=ColumnStore',
      'CREATE TABLE shop.dropped_later (id BIGINT, word VARCHAR(20)) ENGINE=ColumnStore',
      "INSERT INTO shop.dropped_later VALUES (1, 'one'), (2, 'two')",
    );
    await importRows(cluster.primary, { first: 1, rows: 60_000, table: 'history' });
    await cluster.caughtUp();
    // An UPDATE of the gauge takes its time where much else runs.
    agents = await startAgents(cluster, { backup: { lockTimeout: '10s', lockAttempts: 4 } });
    gauge = await startGauge(cluster.primary);
    writers = [startShopWriter(cluster.primary), startShopWriter(cluster.node('pm2'), 'ticks_elsewhere', 1_000_001)];
  });
  afterAll(async () => {
    await Promise.all([...(writers ?? []), ...(gauge === undefined ? [] : [gauge])].map((client) => client.stop()));
    await cluster?.remove();
  });

  const writersGoOn = async (): Promise<void> => {
    const written = writers.map((writer) => writer.written);
    const { acknowledged } = gauge;
    await eventually(
      () => writers.every((writer, index) => writer.written > (written[index] ?? 0) + 2) && gauge.acknowledged > acknowledged,
    );
  };
  const still = async (node: ColumnstoreNode): Promise<Readonly<Record<string, Sums>>> =>
    Object.fromEntries(Object.entries(await shopSums(node)).filter(([table]) => !BUSY.includes(table)));
  const part = (set: string, node: ColumnstoreNode): PartManifest =>
    JSON.parse(readFileSync(join(agents.repository(node.name), 'columnstore', set, node.name, 'part.json'), 'utf8')) as PartManifest;
  const dbroots = (set: string): PartDbroot[] => cluster.nodes.flatMap((node) => part(set, node).columnstore?.dbroots ?? []);
  /** Bytes of the files of a dbroot that lie in the set itself. */
  const stored = ({ borrowed, dataBytes }: PartDbroot): number => dataBytes - (borrowed?.dataBytes ?? 0);

  const heldTicks = async (): Promise<number[][]> => [await numbers(cluster.primary), await numbers(cluster.primary, 'ticks_elsewhere')];

  const take = async (...options: string[]): Promise<BackupReport> => {
    await writersGoOn();
    const sums = await still(cluster.primary);
    const windows = writers.map((writer) => writer.window());
    gauge.errors();
    const least = gauge.acknowledged;
    const report = (await agents.ok('backup', 'create', ...options)).line<BackupReport>('backup');
    const most = gauge.sent;
    expect([...windows.flatMap((window) => window().errors), ...gauge.errors()]).toEqual([]);
    cuts.push({ report, sums, gauge: [least, most] });
    return report;
  };

  /** Restores a set over what is there, and looks at everything that its cut held, on every node. No client writes until what it gives is called. */
  const restore = async ({ report, sums, ticks, gauge: [least, most] }: Cut, ...options: string[]): Promise<() => Promise<void>> => {
    const lostAt = Date.now();
    const plan = (await agents.ok('restore', 'plan', report.set.setId, '--replication', 'start')).line<RestorePlan>('restore-plan');
    expect(plan.problems).toEqual([]);
    const resumes = await Promise.all([...writers, gauge].map((client) => client.pause()));
    const restored = (await agents.ok('restore', 'run', plan.id, ...options)).line<RestoreReport>('restore');
    expect(restored.state).toBe('switched');
    for (const node of cluster.nodes) {
      expect(await still(node)).toEqual(sums);
      const held = await readGauge(node);
      expect(held).toEqual({ rows: 300, least: held.most, most: held.most });
      expect(held.most).toBeGreaterThanOrEqual(least);
      expect(held.most).toBeLessThanOrEqual(most);
    }
    for (const [index, writer] of writers.entries()) {
      const rows = new Set((await heldTicks())[index]);
      if (ticks !== undefined) expect([...rows]).toEqual(ticks[index]);
      else expect(writer.acknowledgedBefore(Date.parse(report.set.cutAt)).filter((n) => !rows.has(n))).toEqual([]);
      expect(writer.sentBetween(Date.parse(report.set.releasedAt), lostAt).filter((n) => rows.has(n))).toEqual([]);
    }
    await agents.ok('restore', 'finish', restored.operationId, '--yes');
    return async () => {
      for (const resume of resumes) resume();
      await writersGoOn();
    };
  };

  it('begins with a full set', async () => {
    const { set } = await take();
    expect(set.uses).toEqual([]);
  });

  it('stores what INSERT, UPDATE, DELETE, cpimport and DDL have changed, and borrows the rest', async () => {
    await importRows(cluster.node('pm2'), { first: 2_000_001, rows: 3_000 });
    await cluster.primary.sql(
      "UPDATE shop.returns SET reason = 'changed' WHERE id BETWEEN 10 AND 30",
      'DELETE FROM shop.returns WHERE id > 90',
      'DELETE FROM shop.sales WHERE id BETWEEN 100 AND 400',
      'CREATE TABLE shop.made (id BIGINT, word VARCHAR(20)) ENGINE=ColumnStore',
      "INSERT INTO shop.made VALUES (1, 'made'), (2, 'between')",
      'DROP TABLE shop.dropped_later',
      "UPDATE shop.customers SET name = 'changed' WHERE id < 50",
    );
    await cluster.caughtUp();
    const { set } = await take('--incremental');
    expect([set.parent, set.uses]).toEqual([setId(0), [setId(0)]]);
    const full = dbroots(setId(0));
    for (const [index, dbroot] of dbroots(set.setId).entries()) {
      expect(dbroot.borrowed?.files).toBeGreaterThan(0);
      expect(stored(dbroot)).toBeLessThan(stored(full[index] as PartDbroot));
    }
    for (const node of cluster.nodes)
      expect(part(set.setId, node).mariadb?.chain?.map(({ set: base, content }) => [base, content])).toEqual([[setId(0), 'mariadb-full']]);
  });

  it('stores what has changed since the increment', async () => {
    await importRows(cluster.primary, { first: 3_000_001, rows: 2_000 });
    await cluster.primary.sql(
      // Replicas of this engine follow CREATE and DROP of its tables only.
      'DROP TABLE shop.made',
      'CREATE TABLE shop.made (id BIGINT, word VARCHAR(20), more INT) ENGINE=ColumnStore',
      "INSERT INTO shop.made VALUES (3, 'with more', 3)",
      'UPDATE shop.returns SET reason = NULL WHERE id < 5',
      'ALTER TABLE shop.customers ADD COLUMN city VARCHAR(20)',
      'DELETE FROM shop.customers WHERE id > 900',
    );
    await cluster.caughtUp();
    const { set } = await take('--incremental');
    expect([set.parent, set.uses]).toEqual([setId(1), [setId(0), setId(1)]]);
    for (const dbroot of dbroots(set.setId)) expect(dbroot.borrowed?.files).toBeGreaterThan(0);
  });

  it('is verified, each with the sets that it uses', async () => {
    for (const { report } of cuts) {
      const verified = (await agents.ok('backup', 'verify', report.set.setId)).line<VerifyReport>('verify');
      expect(verified.nodes.flatMap(({ problems }) => problems)).toEqual([]);
    }
  });

  it('restores the increment in the middle after every node has lost everything', async () => {
    await importRows(cluster.primary, { first: 4_000_001, rows: 1_000 });
    await loseEverything(cluster);
    const goOn = await restore(cut(1));
    await goOn();
  });

  it('restores the full set over what lives', async () => {
    const goOn = await restore(cut(0), '--stop-servers');
    await goOn();
  });

  it('restores the last increment, and stores next to nothing of dbroots in the one that follows', async () => {
    const goOn = await restore(cut(2), '--stop-servers');
    expect(await cluster.locks()).toBe('');
    const sums = await still(cluster.primary);
    const { most } = await readGauge(cluster.primary);
    const report = (await agents.ok('backup', 'create', '--incremental')).line<BackupReport>('backup');
    cuts.push({ report, sums, gauge: [most, most], ticks: await heldTicks() });
    await goOn();
    const [whole, fresh] = [setId(0), report.set.setId].map((set) => dbroots(set).reduce((sum, dbroot) => sum + stored(dbroot), 0));
    expect(report.set.parent).toBe(setId(2));
    expect(fresh).toBeLessThan((whole ?? 0) / 20);
    const listed = (await agents.ok('backup', 'list', '--rescan')).all<SetSummary>('set');
    expect(listed.map(({ state }) => state)).toEqual(['good', 'good', 'good', 'good']);
  });

  it('restores that one too', async () => {
    await cluster.primary.sql('DELETE FROM shop.history WHERE id < 1000', 'DROP TABLE shop.made');
    const goOn = await restore(cut(3), '--stop-servers');
    await goOn();
  });
});
