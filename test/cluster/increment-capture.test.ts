import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BackupPlan, BackupReport, RestorePlan, RestoreReport, VerifyReport } from '@stillpoint/controller';
import { imagesOf, type PartManifest } from '@stillpoint/shared/manifest';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ageKey } from '../harness/age-key.ts';
import { BLOCKERS, type BlockingClient, startBlocker } from '../harness/blocker.ts';
import { startCluster, type TestCluster, type TestNode } from '../harness/cluster.ts';
import { mark, markers, shopChecksums } from '../harness/data.ts';
import { eventually } from '../harness/eventually.ts';
import { expectNextBackupWorks, goodSets } from '../harness/expect.ts';
import { replaceProgram } from '../harness/gates.ts';
import { testDirectory } from '../harness/mariadb-server.ts';

interface Cut {
  readonly setId: string;
  readonly markers: readonly string[];
  readonly checksums: Record<string, string>;
}

const partOf = (cluster: TestCluster, node: TestNode, setId: string): string => join(node.repository, cluster.name, setId, node.name);
const manifestOf = (cluster: TestCluster, node: TestNode, setId: string): PartManifest =>
  JSON.parse(readFileSync(join(partOf(cluster, node, setId), 'part.json'), 'utf8')) as PartManifest;

async function take(cluster: TestCluster, name: string, ...options: string[]): Promise<Cut & { readonly report: BackupReport }> {
  const { server } = cluster.primary;
  await mark(server, name);
  await cluster.caughtUp();
  const report = (await cluster.ok('backup', 'create', ...options)).line<BackupReport>('backup');
  return { report, setId: report.set.setId, markers: await markers(server), checksums: await shopChecksums(server) };
}

/** Runs the commands that lie beside a set, as far as they make the data of a node. Gives what mariadb-backup says of it. */
function prepareByHand(cluster: TestCluster, node: TestNode, setId: string, key = ''): string {
  const text = readFileSync(join(node.repository, cluster.name, setId, 'HOW-TO-RESTORE.txt'), 'utf8');
  const section = text.slice(text.indexOf(`# ---- node ${node.name} ----`));
  const work = join(cluster.directory, 'by-hand');
  const commands = section
    .slice(0, section.search(/^# \d+\. Tell the data/m))
    .replace(/^WORK=.*$/m, `WORK=${work}`)
    .replace(/^KEY=.*$/m, `KEY=${key}`);
  const script = join(cluster.directory, 'by-hand.sh');
  writeFileSync(script, `set -eo pipefail\n${commands}\n`);
  execFileSync('bash', [script], { stdio: ['ignore', 'ignore', 'pipe'] });
  const checkpoints = readFileSync(join(work, 'xtrabackup_checkpoints'), 'utf8');
  rmSync(work, { recursive: true });
  return `${checkpoints}increments = ${commands.match(/Apply increment/g)?.length ?? 0}\n`;
}

async function restore(cluster: TestCluster, cut: Cut, ...options: string[]): Promise<void> {
  const plan = (await cluster.ok('restore', 'plan', cut.setId, '--replication', 'start', ...options)).line<RestorePlan>('restore-plan');
  expect(plan.problems).toEqual([]);
  const restored = (await cluster.ok('restore', 'run', plan.id, '--stop-servers')).line<RestoreReport>('restore');
  expect(restored.state).toBe('switched');
  for (const node of restored.nodes) expect(node.tablesEqual).toBeGreaterThan(0);
  for (const { server } of cluster.nodes) {
    await eventually(async () => (await markers(server)).join() === cut.markers.join());
    expect(await shopChecksums(server)).toEqual(cut.checksums);
  }
  await cluster.ok('restore', 'finish', restored.operationId, '--yes');
}

/** The tests are chapters and run in order. */
describe('servers that are copied before the lock, and what has changed since under it', () => {
  let cluster: TestCluster;
  let full: Cut;
  let incremental: Cut;
  let blocker: BlockingClient | undefined;

  beforeAll(async () => {
    cluster = await startCluster({
      replicas: 1,
      mebibytes: 16,
      backup: { capture: 'increment', lockAttempts: 4, incremental: { maxChain: 4 } },
    });
  });
  afterEach(() => blocker?.end());
  afterAll(() => cluster?.remove());

  it('are announced by the plan', async () => {
    const plan = (await cluster.ok('backup', 'create', '--dry-run')).line<BackupPlan>('backup-plan');
    expect(plan.nodes.map(({ captures }) => captures)).toEqual(
      cluster.nodes.map(() => [expect.objectContaining({ storage: 'server', strategy: 'increment', reason: 'it was asked for' })]),
    );
    expect(plan.phases.map(({ phase }) => phase)).toEqual(expect.arrayContaining(['precopy']));
  });

  it('are two images of one set, which uses no other', async () => {
    full = await take(cluster, 'full');
    const { set } = (full as Awaited<ReturnType<typeof take>>).report;
    expect(set).toMatchObject({ uses: [] });
    expect(set.parent).toBeUndefined();
    expect(set.phases.filter(({ blocksWriters }) => !blocksWriters).map(({ phase }) => phase)).toContain('precopy');
    for (const [index, node] of cluster.nodes.entries()) {
      const part = manifestOf(cluster, node, full.setId);
      expect(part.mariadb).toMatchObject({ base: 'mariadb.full.mbstream.zst' });
      expect(imagesOf(part).map(({ name }) => name)).toEqual(['mariadb.full.mbstream.zst', 'mariadb.delta.mbstream.zst']);
      expect(set.members[index]).toMatchObject({ storedBytes: part.shards.reduce((sum, { storedBytes }) => sum + storedBytes, 0) });
    }
    const shown = (await cluster.ok('backup', 'show', full.setId)).stdout;
    expect(shown).toContain('mariadb.full.mbstream.zst');
    expect(shown).toContain('mariadb.delta.mbstream.zst');
  });

  it('are parents and increments, which lean on both images', async () => {
    await cluster.primary.server.sql(
      'UPDATE shop.orders SET body = REVERSE(body) WHERE id < 300; CREATE TABLE shop.later (id INT PRIMARY KEY)',
    );
    incremental = await take(cluster, 'incremental', '--incremental');
    const { set } = (incremental as Awaited<ReturnType<typeof take>>).report;
    expect(set).toMatchObject({ parent: full.setId, uses: [full.setId] });
    for (const node of cluster.nodes) {
      const part = manifestOf(cluster, node, incremental.setId);
      expect(imagesOf(part).map((image) => ['set' in image ? image.set : '', image.name])).toEqual([
        [full.setId, 'mariadb.full.mbstream.zst'],
        [full.setId, 'mariadb.delta.mbstream.zst'],
        ['', 'mariadb.incr.mbstream.zst'],
        ['', 'mariadb.delta.mbstream.zst'],
      ]);
    }
    const refused = await cluster.run('backup', 'delete', full.setId, '--yes');
    expect(refused.stdout + refused.stderr).toContain('SET_NEEDED');
    const rescanned = (await cluster.ok('backup', 'list', '--rescan')).all<{ state: string }>('set');
    expect(rescanned.map(({ state }) => state)).toEqual(['good', 'good']);
    for (const { setId } of [full, incremental])
      expect((await cluster.ok('backup', 'verify', setId)).line<VerifyReport>('verify').nodes.flatMap(({ problems }) => problems)).toEqual(
        [],
      );
  });

  it('are full again when the two next images would make the chain too long', async () => {
    const { report, setId } = await take(cluster, 'next', '--incremental');
    expect(report.set.uses).toEqual([]);
    expect(imagesOf(manifestOf(cluster, cluster.primary, setId)).map(({ name }) => name)).toEqual([
      'mariadb.full.mbstream.zst',
      'mariadb.delta.mbstream.zst',
    ]);
    await cluster.ok('backup', 'delete', setId, '--yes');
  });

  it('can be prepared by hand with the commands that lie beside the set', () => {
    for (const [cut, increments] of [
      [full, 1],
      [incremental, 3],
    ] as const) {
      const said = prepareByHand(cluster, cluster.primary, cut.setId);
      expect(said).toContain('backup_type = log-applied');
      expect(said).toContain(`to_lsn = ${manifestOf(cluster, cluster.primary, cut.setId).mariadb?.toLsn}\n`);
      expect(said).toContain(`increments = ${increments}\n`);
    }
  });

  it('are copied once for all attempts of a backup', async () => {
    const node = cluster.primary;
    const calls = join(node.directory, 'calls');
    const program = execFileSync('bash', ['-c', 'command -v mariadb-backup'], { encoding: 'utf8' }).trim();
    const kept = readFileSync(join(node.programs, 'mariadb-backup'), 'utf8');
    replaceProgram(node.programs, 'mariadb-backup', `echo "$@" >>${calls}\nexec ${program} "$@"\n`);
    // mariadb-backup waits for nothing of it; the lock does.
    blocker = await startBlocker(node.server, 'root', '', BLOCKERS['a running UPDATE']);
    const command = cluster.start('backup', 'create');
    await command.until((line) => line.type === 'retry');
    await blocker.end();
    const ended = await command.ended;
    writeFileSync(join(node.programs, 'mariadb-backup'), kept);
    expect(ended.exitCode).toBe(0);
    const backups = readFileSync(calls, 'utf8')
      .split('\n')
      .filter((line) => line.includes('--backup '));
    expect(backups.map((line) => line.includes('--incremental-lsn='))).toEqual([false, true]);
    await cluster.ok('backup', 'delete', ended.line<BackupReport>('backup').set.setId, '--yes');
  });

  it.each(['precopy', 'capture'])('are no set when an agent is killed during %s, and nothing of it is left', async (phase) => {
    const node = cluster.node('db2');
    const before = await goodSets(cluster);
    const held = node.gate('mariadb-backup', phase === 'capture' ? '--incremental-lsn=' : '--backup');
    const command = cluster.start('backup', 'create');
    await held.reached();
    await node.agent.kill('SIGKILL');
    held.open();
    await eventually(
      async () => (await node.server.sql("SELECT 1 FROM information_schema.processlist WHERE info LIKE 'BACKUP STAGE%'")).length === 0,
    );
    await node.agent.start();
    await command.ended;
    expect(await goodSets(cluster)).toEqual(before);
    await expectNextBackupWorks(cluster);
  });

  it('are restored to exactly the cut, replicas also from the images of the primary', async () => {
    await mark(cluster.primary.server, 'later');
    await restore(cluster, incremental, '--replicas', 'primary');
    await restore(cluster, full);
  });
});

it('two encrypted images and their increments are restored by Stillpoint and by hand', async () => {
  const key = ageKey(testDirectory('increment-keys'));
  const cluster = await startCluster({
    replicas: 0,
    mebibytes: 8,
    backup: { capture: 'increment', encryption: { recipients: [key.recipient] } },
  });
  try {
    const node = cluster.primary;
    const full = await take(cluster, 'full');
    const incremental = await take(cluster, 'incremental', '--incremental');
    const images = imagesOf(manifestOf(cluster, node, incremental.setId)).map(({ name }) => name);
    expect(images).toEqual(['full', 'delta', 'incr', 'delta'].map((kind) => `mariadb.${kind}.mbstream.zst.age`));
    const config = JSON.parse(readFileSync(node.configFile, 'utf8')) as object;
    writeFileSync(node.configFile, JSON.stringify({ ...config, decryption: { identityFile: key.file } }, null, 2));
    await node.agent.kill('SIGTERM');
    await node.agent.start();
    for (const { setId } of [full, incremental]) {
      const { nodes } = (await cluster.ok('backup', 'verify', setId)).line<VerifyReport>('verify');
      expect(nodes.map(({ problems, unopened }) => ({ problems, unopened }))).toEqual([{ problems: [], unopened: undefined }]);
    }
    expect(prepareByHand(cluster, node, incremental.setId, key.file)).toContain('increments = 3\n');
    await mark(node.server, 'later');
    await restore(cluster, incremental);
    await restore(cluster, full);
  } finally {
    await cluster.remove();
  }
});
