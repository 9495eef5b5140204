import { execFileSync } from 'node:child_process';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BackupPlan, BackupReport, RestorePlan, RestoreReport, SetSummary, VerifyReport } from '@stillpoint/controller';
import { EXIT } from '@stillpoint/shared/errors';
import type { PartManifest } from '@stillpoint/shared/manifest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startCluster, type TestCluster, type TestNode } from '../harness/cluster.ts';
import { mark, markers, shopChecksums } from '../harness/data.ts';
import { eventually } from '../harness/eventually.ts';

interface Cut {
  readonly setId: string;
  readonly markers: readonly string[];
  readonly checksums: Record<string, string>;
  readonly tables: readonly string[];
}

/** A chain of increments from its making to the restore of each of its sets, on real servers: the tests are chapters and run in order. */
describe('a full set and its increments', () => {
  let cluster: TestCluster;
  const cuts: Cut[] = [];
  const first = (): Cut => cuts[0] as Cut;
  const last = (): Cut => cuts.at(-1) as Cut;

  beforeAll(async () => {
    cluster = await startCluster({ mebibytes: 24, backup: { incremental: { maxChain: 3 } } });
  });
  afterAll(() => cluster?.remove());

  const tablesOf = async ({ server }: TestNode): Promise<string[]> =>
    (await server.sql("SELECT table_name AS t FROM information_schema.tables WHERE table_schema = 'shop' ORDER BY 1")).map((row) =>
      String(row.t),
    );
  const partOf = (node: TestNode, setId: string): string => join(node.repository, cluster.name, setId, node.name);
  const manifestOf = (node: TestNode, setId: string): PartManifest =>
    JSON.parse(readFileSync(join(partOf(node, setId), 'part.json'), 'utf8')) as PartManifest;
  const take = async (...options: string[]): Promise<BackupReport> => {
    const { server } = cluster.primary;
    await mark(server, `cut ${cuts.length + 1}`);
    await cluster.caughtUp();
    const report = (await cluster.ok('backup', 'create', ...options)).line<BackupReport>('backup');
    const cut = { setId: report.set.setId, markers: await markers(server), checksums: await shopChecksums(server) };
    cuts.push({ ...cut, tables: await tablesOf(cluster.primary) });
    return report;
  };

  it('needs a good set; without one the set is full, and the plan says why', async () => {
    const plan = (await cluster.ok('backup', 'create', '--incremental', '--dry-run')).line<BackupPlan>('backup-plan');
    expect(plan).toMatchObject({ parent: '', warnings: ['there is no good set to make an increment of: this one is full'] });
    expect((await cluster.run('backup', 'create', '--parent', 'x')).exitCode).toBe(EXIT.USAGE);
    const { set } = await take('--incremental');
    expect(set).toMatchObject({ uses: [] });
    expect(set.parent).toBeUndefined();
  });

  it('stores what has changed since the newest good set, in a chain', async () => {
    const { server } = cluster.primary;
    await server.sql(
      "CREATE TABLE shop.made (id INT PRIMARY KEY, body TEXT); INSERT INTO shop.made SELECT seq, 'made' FROM shop.seq_1_to_500",
    );
    await server.sql(
      "UPDATE shop.orders SET body = REVERSE(body) WHERE id BETWEEN 100 AND 200; UPDATE shop.notes SET body = 'changed' WHERE id < 20",
    );
    const one = await take('--incremental');
    await server.sql('RENAME TABLE shop.made TO shop.renamed; CREATE TABLE shop.short_lived (id INT PRIMARY KEY); TRUNCATE shop.labels');
    await server.sql('ALTER TABLE shop.customers ADD COLUMN city VARCHAR(20) DEFAULT NULL');
    const two = await take('--incremental');
    await server.sql(
      "DROP TABLE shop.short_lived; DELETE FROM shop.orders WHERE id BETWEEN 1000 AND 1400; INSERT INTO shop.labels VALUES (1, 'again')",
    );
    const three = await take('--incremental');
    const [full = '', a = '', b = ''] = cuts.map(({ setId }) => setId);
    expect([one, two, three].map(({ set }) => [set.parent, set.uses])).toEqual([
      [full, [full]],
      [a, [full, a]],
      [b, [full, a, b]],
    ]);
    for (const node of cluster.nodes) {
      const part = manifestOf(node, last().setId);
      expect(part.mariadb?.chain?.map(({ set, content }) => [set, content])).toEqual([
        [full, 'mariadb-full'],
        [a, 'mariadb-incremental'],
        [b, 'mariadb-incremental'],
      ]);
      expect(part.shards.map(({ content }) => content)).toContain('mariadb-incremental');
    }
    const bytes = (setId: string): number =>
      manifestOf(cluster.primary, setId).shards.reduce((sum, { storedBytes }) => sum + storedBytes, 0);
    expect(bytes(a)).toBeLessThan(bytes(full) / 2);
    const listed = (await cluster.ok('backup', 'list')).all<SetSummary>('set');
    expect(listed.map(({ setId, parent }) => [setId, parent])).toEqual([
      [last().setId, b],
      [b, a],
      [a, full],
      [full, ''],
    ]);
  });

  it('ends with a full image when the chain has grown as long as it may, and begins anew for whoever names another parent', async () => {
    const plan = (await cluster.ok('backup', 'create', '--incremental', '--parent', cuts[1]?.setId ?? '', '--dry-run')).line<BackupPlan>(
      'backup-plan',
    );
    expect(plan.parent).toBe(cuts[1]?.setId);
    const { set } = await take('--incremental');
    expect(set.uses).toEqual([]);
    expect(manifestOf(cluster.primary, set.setId).mariadb?.chain).toBeUndefined();
    cuts.pop();
    await cluster.ok('backup', 'delete', set.setId, '--yes');
  });

  it('is verified with the sets that it uses, none of which can be deleted', async () => {
    for (const { setId } of cuts)
      expect((await cluster.ok('backup', 'verify', setId)).line<VerifyReport>('verify').nodes.flatMap(({ problems }) => problems)).toEqual(
        [],
      );
    const refused = await cluster.run('backup', 'delete', first().setId, '--yes');
    expect(refused.exitCode).not.toBe(0);
    expect(refused.stdout + refused.stderr).toContain('SET_NEEDED');
    const rescanned = (await cluster.ok('backup', 'list', '--rescan')).all<SetSummary>('set');
    expect(rescanned.map(({ state }) => state)).toEqual(['good', 'good', 'good', 'good']);
  });

  it('can be prepared by hand with the commands that lie beside it', async () => {
    const { setId } = last();
    const node = cluster.primary;
    const text = readFileSync(join(node.repository, cluster.name, setId, 'HOW-TO-RESTORE.txt'), 'utf8');
    const section = text.slice(text.indexOf(`# ---- node ${node.name} ----`));
    const work = join(cluster.directory, 'by-hand');
    const commands = section.slice(0, section.search(/^# \d+\. Tell the data/m)).replace(/^WORK=.*$/m, `WORK=${work}`);
    expect(commands).toMatch(/Apply increment 3/);
    const script = join(cluster.directory, 'by-hand.sh');
    writeFileSync(script, `set -eo pipefail\n${commands}\n`);
    execFileSync('bash', [script], { stdio: ['ignore', 'ignore', 'pipe'] });
    const checkpoints = readFileSync(join(work, 'xtrabackup_checkpoints'), 'utf8');
    expect(checkpoints).toContain('backup_type = log-applied');
    expect(checkpoints).toContain(`to_lsn = ${manifestOf(node, setId).mariadb?.toLsn}\n`);
    rmSync(work, { recursive: true });
  });

  it('restores every one of its sets to exactly its cut', async () => {
    await mark(cluster.primary.server, 'later');
    for (const cut of [last(), cuts[1] as Cut]) {
      const plan = (await cluster.ok('restore', 'plan', cut.setId, '--replication', 'start')).line<RestorePlan>('restore-plan');
      expect(plan.problems).toEqual([]);
      const restored = (await cluster.ok('restore', 'run', plan.id, '--stop-servers')).line<RestoreReport>('restore');
      expect(restored.state).toBe('switched');
      for (const node of restored.nodes) expect(node.tablesEqual).toBeGreaterThan(0);
      for (const { server } of cluster.nodes) {
        await eventually(async () => (await markers(server)).join() === cut.markers.join());
        expect(await shopChecksums(server)).toEqual(cut.checksums);
      }
      expect(await tablesOf(cluster.primary)).toEqual(cut.tables);
      await cluster.ok('restore', 'finish', restored.operationId, '--yes');
    }
  });

  it('goes on after a restore with a full image, as numbers of the log alone would not tell', async () => {
    const report = await take('--incremental');
    expect(report.set.uses).toEqual([]);
    expect(manifestOf(cluster.primary, report.set.setId).shards.map(({ content }) => content)).toContain('mariadb-full');
  });

  it('is incomplete when a part that it uses is gone, which is named', async () => {
    const node = cluster.node('db2');
    const part = partOf(node, first().setId);
    renameSync(part, `${part}.away`);
    const listed = (await cluster.ok('backup', 'list', '--rescan')).all<SetSummary>('set');
    expect(listed.find(({ setId }) => setId === cuts[3]?.setId)).toMatchObject({
      state: 'incomplete',
      reason: `the part of db2 in set ${first().setId}, which it uses, is missing`,
    });
    const verified = await cluster.run('backup', 'verify', cuts[3]?.setId ?? '');
    expect(verified.exitCode).toBe(EXIT.VERIFY_FAILED);
    renameSync(`${part}.away`, part);
  });
});
