import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BackupPlan, BackupReport, RestorePlan, RestoreReport } from '@stillpoint/controller';
import type { PartManifest } from '@stillpoint/shared/manifest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { loopDiskObstacle } from '../harness/loop-disk.ts';
import type { Writer } from '../harness/writer.ts';
import { type Agents, startAgents } from './harness/agents.ts';
import { type ColumnstoreCluster, startColumnstoreCluster } from './harness/cluster.ts';
import { makeShop, numbers, type Sums, shopSums, startShopWriter } from './harness/shop.ts';

const obstacle = loopDiskObstacle('xfs');

/** What is left of clones, wherever they may lie. */
const clonesIn = (...directories: string[]): string[] =>
  directories.flatMap((directory) =>
    readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((path) => path.includes('.stillpoint-clones')),
  );

/** One engine whose dbroot lies on a file system that clones files: the tests are chapters and run in order. */
describe.skipIf(obstacle !== undefined)(`dbroots on XFS${obstacle === undefined ? '' : `: ${obstacle}`}`, () => {
  let cluster: ColumnstoreCluster;
  let agents: Agents;
  let writer: Writer;
  const sets: { readonly report: BackupReport; readonly still: Readonly<Record<string, Sums | undefined>> }[] = [];

  beforeAll(async () => {
    cluster = await startColumnstoreCluster({ nodes: 1, disk: 'xfs' });
    await makeShop(cluster, 10_000);
    agents = await startAgents(cluster);
    writer = startShopWriter(cluster.primary);
    await eventually(() => writer.written > 3);
  });
  afterAll(async () => {
    await writer?.stop();
    await cluster?.remove();
  });

  const still = async () => {
    const { customers, returns, sales } = await shopSums(cluster.primary);
    return { customers, returns, sales };
  };
  const take = async (...options: string[]): Promise<BackupReport> => {
    const before = await still();
    const window = writer.window();
    const report = (await agents.ok('backup', 'create', ...options)).line<BackupReport>('backup');
    expect(window().errors).toEqual([]);
    const { directory } = cluster.primary;
    expect(clonesIn(join(directory, 'columnstore'), agents.repository('pm1'))).toEqual([]);
    sets.push({ report, still: before });
    return report;
  };

  it('are cloned of its own accord, and an increment of them too', async () => {
    const plan = (await agents.ok('backup', 'create', '--dry-run')).line<BackupPlan>('backup-plan');
    expect(plan.nodes.flatMap(({ captures }) => captures).map(({ strategy }) => strategy)).toContain('reflink');
    await take();
    await cluster.primary.sql("UPDATE shop.returns SET reason = 'changed' WHERE id < 20");
    const { set } = await take('--capture', 'reflink', '--incremental');
    expect(set.uses).toEqual([sets[0]?.report.set.setId]);
    const file = join(agents.repository('pm1'), 'columnstore', set.setId, 'pm1', 'part.json');
    const [dbroot] = (JSON.parse(readFileSync(file, 'utf8')) as PartManifest).columnstore?.dbroots ?? [];
    expect(dbroot?.borrowed?.dataBytes).toBeGreaterThan((dbroot?.dataBytes ?? 0) / 2);
  });

  it('come back as they were at either cut', async () => {
    for (const { report, still: expected } of sets.toReversed()) {
      const lostAt = Date.now();
      const plan = (await agents.ok('restore', 'plan', report.set.setId)).line<RestorePlan>('restore-plan');
      expect(plan.problems).toEqual([]);
      const { operationId } = (await agents.ok('restore', 'run', plan.id, '--stop-servers')).line<RestoreReport>('restore');
      expect(await still()).toEqual(expected);
      const rows = new Set(await numbers(cluster.primary));
      expect(writer.acknowledgedBefore(Date.parse(report.set.cutAt)).filter((n) => !rows.has(n))).toEqual([]);
      expect(writer.sentBetween(Date.parse(report.set.releasedAt), lostAt).filter((n) => rows.has(n))).toEqual([]);
      await agents.ok('restore', 'finish', operationId, '--yes');
    }
  });
});
