import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BackupPlan, BackupReport, RestorePlan, RestoreReport, VerifyReport } from '@stillpoint/controller';
import { EXIT } from '@stillpoint/shared/errors';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AgeKey, ageKey } from '../harness/age-key.ts';
import { startCluster, type TestCluster, type TestNode } from '../harness/cluster.ts';
import { mark, markers, shopChecksums, wipe } from '../harness/data.ts';
import { eventually } from '../harness/eventually.ts';
import { testDirectory } from '../harness/mariadb-server.ts';

/** An encrypted set from its making to its restore, on one cluster: the tests are chapters and run in order. */
describe('an encrypted set', () => {
  let cluster: TestCluster;
  let key: AgeKey;
  let other: AgeKey;
  let stranger: AgeKey;
  let setId: string;
  let checksums: Record<string, string>;

  beforeAll(async () => {
    // Outside of what is looked through for secrets.
    const keys = testDirectory('encryption-keys');
    [key, other, stranger] = [ageKey(keys, 'a'), ageKey(keys, 'b'), ageKey(keys, 'c')];
    cluster = await startCluster({
      mebibytes: 8,
      backup: { encryption: { recipients: [key.recipient, other.recipient] }, compressionLevel: 'none', throttle: '200MiB', nice: 5 },
    });
  });
  afterAll(() => cluster?.remove());

  it('is announced by the plan', async () => {
    const plan = (await cluster.ok('backup', 'create', '--dry-run')).line<BackupPlan>('backup-plan');
    expect(plan.storage).toEqual({
      ...{ compression: 'none', recipients: [key.recipient, other.recipient] },
      ...{ throttle: 200 * 1024 ** 2, nice: 5, ionice: null },
    });
  });

  it('is made on nodes that hold no secret', async () => {
    await mark(cluster.primary.server, 'before');
    await cluster.caughtUp();
    const { set } = (await cluster.ok('backup', 'create')).line<BackupReport>('backup');
    setId = set.setId;
    checksums = await shopChecksums(cluster.primary.server);
    for (const node of cluster.nodes) {
      const files = readdirSync(partOf(node));
      expect(files.filter((name) => name.endsWith('.age')).sort()).toEqual(['config.tar.zst.age', 'mariadb.full.mbstream.zst.age']);
      expect(files.filter((name) => name.endsWith('.zst'))).toEqual([]);
    }
    await mark(cluster.primary.server, 'after');
  });

  it('is verified without an identity as far as its bytes go, and says so', async () => {
    const verified = (await cluster.ok('backup', 'verify', setId)).line<VerifyReport>('verify');
    expect(verified.ok).toBe(true);
    for (const { unopened } of verified.nodes)
      expect(unopened).toMatch(/^the files of db\d are encrypted for age1.*its agent has no identity$/);
  });

  it('is not restored where no identity is, nor with a wrong one: by the plan, before anything is touched', async () => {
    const problems = async (): Promise<string[]> => {
      const planned = await cluster.run('restore', 'plan', setId);
      return planned.line<RestorePlan>('restore-plan').problems.map(({ node, message }) => `${node}: ${message}`);
    };
    expect((await problems()).toSorted()).toEqual(
      ['db1', 'db2', 'db3'].map((node) =>
        expect.stringMatching(new RegExp(`^${node}: cannot open the part of .*its agent has no identity$`)),
      ),
    );
    for (const node of cluster.nodes) await holdKey(node, stranger.file);
    expect(await problems()).toEqual(
      expect.arrayContaining([expect.stringMatching(new RegExp(`^db2: cannot open .* identities of ${stranger.recipient} only$`))]),
    );
    const planId = (await cluster.run('restore', 'plan', setId)).line<RestorePlan>('restore-plan').id;
    const refused = await cluster.run('restore', 'run', planId, '--stop-servers');
    expect(refused.exitCode).toBe(EXIT.RESTORE_REFUSED);
    for (const { server } of cluster.nodes) expect(server.pid).toBeDefined();
  });

  it('is looked into with an identity, also that of the other recipient', async () => {
    for (const node of cluster.nodes) await holdKey(node, node.name === 'db2' ? other.file : key.file);
    const verified = (await cluster.ok('backup', 'verify', setId)).line<VerifyReport>('verify');
    expect(verified.nodes.map(({ unopened, problems }) => ({ unopened, problems }))).toEqual(
      cluster.nodes.map(() => ({ unopened: undefined, problems: [] })),
    );
    const checked = (await cluster.run('cluster', 'check')).all<{ name: string; status: string; message: string }>('check');
    expect(checked.filter(({ name }) => name === 'agent.decryption').map(({ status }) => status)).toEqual(['ok', 'ok', 'ok']);
  });

  it('that was damaged is told with and without an identity', async () => {
    const file = join(partOf(cluster.node('db2')), 'mariadb.full.mbstream.zst.age');
    const good = readFileSync(file);
    const bad = Buffer.from(good);
    bad[300_000] = (bad[300_000] ?? 0) ^ 4;
    writeFileSync(file, bad);
    const told = async (): Promise<readonly string[]> => {
      const verified = await cluster.run('backup', 'verify', setId);
      expect(verified.exitCode).toBe(EXIT.VERIFY_FAILED);
      return verified.line<VerifyReport>('verify').nodes.find(({ node }) => node === 'db2')?.problems ?? [];
    };
    const bytes = 'mariadb.full.mbstream.zst.age does not hold the bytes that were written';
    expect(await told()).toEqual([bytes, expect.stringMatching(/mbstream\.zst\.age cannot be opened: chunk 4 of 64 KiB/)]);
    await holdKey(cluster.node('db2'), stranger.file);
    expect(await told()).toEqual([bytes]);
    await holdKey(cluster.node('db2'), key.file);
    writeFileSync(file, good);
  });

  it('is restored with them after all data directories were deleted', async () => {
    await wipe(cluster.nodes.map(({ server }) => server));
    const plan = (await cluster.ok('restore', 'plan', setId, '--replication', 'start')).line<RestorePlan>('restore-plan');
    expect(plan.problems).toEqual([]);
    const restored = (await cluster.ok('restore', 'run', plan.id)).line<RestoreReport>('restore');
    expect(restored.state).toBe('switched');
    for (const node of restored.nodes) expect(node.tablesEqual).toBeGreaterThan(0);
    expect(await markers(cluster.primary.server)).toEqual(['before']);
    expect(await shopChecksums(cluster.primary.server)).toEqual(checksums);
    await eventually(async () => (await markers(cluster.node('db3').server)).join() === 'before');
    expect(readFileSync(join(cluster.primary.directory, 'etc/tuning.cnf'), 'utf8')).toContain('max_connections=77');
  });

  it('left no identity in any file of agents, controller and repositories', () => {
    const secrets = [key, other, stranger].map(({ file }) => /AGE-SECRET-KEY-\w+/.exec(readFileSync(file, 'utf8'))?.[0] ?? '');
    expect(secrets.every((secret) => secret.length > 40)).toBe(true);
    const leaks = readdirSync(cluster.directory, { recursive: true, encoding: 'utf8' })
      .map((name) => join(cluster.directory, name))
      .filter((file) => statSync(file).isFile())
      .filter((file) => {
        const text = readFileSync(file, 'latin1');
        return secrets.some((secret) => text.includes(secret));
      });
    expect(leaks).toEqual([]);
  });

  const partOf = (node: TestNode): string => join(node.repository, cluster.name, setId, node.name);
});

/** Gives an agent an identity, and starts it anew. */
async function holdKey({ agent, configFile }: TestNode, identityFile: string): Promise<void> {
  const config = JSON.parse(readFileSync(configFile, 'utf8')) as object;
  writeFileSync(configFile, JSON.stringify({ ...config, decryption: { identityFile } }, null, 2));
  await agent.kill('SIGTERM');
  await agent.start();
}
