import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SetSummary } from '@stillpoint/controller';
import { EXIT } from '@stillpoint/shared/errors';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Ended, runStillpoint } from '../harness/cli.ts';
import { startCluster, type TestCluster } from '../harness/cluster.ts';
import { type ErrorLine, expectNextBackupWorks, expectRefusal, goodSets } from '../harness/expect.ts';
import { startForeignAgent } from '../harness/foreign-agent.ts';

let cluster: TestCluster;

beforeAll(async () => {
  cluster = await startCluster();
});
afterAll(() => cluster?.remove());

describe('a configuration that is wrong', () => {
  const file = (): string => join(cluster.directory, 'changed.yaml');

  /** Shows the cluster by its configuration with one change, in YAML as people write it. */
  function withConfig(change: (lines: string[]) => string[]): Promise<Ended> {
    const { tls, nodes, stateDir } = JSON.parse(readFileSync(cluster.configFile, 'utf8'));
    const lines = [
      'cluster: shop',
      `stateDir: ${stateDir}`,
      `tls: { ca: ${tls.ca}, cert: ${tls.cert}, key: ${tls.key} }`,
      'nodes:',
      ...nodes.map((node: { name: string; address: string }) => `  - { name: ${node.name}, address: "${node.address}" }`),
      'backup:',
      '  lease: 3s',
    ];
    writeFileSync(file(), change(lines).join('\n'));
    return runStillpoint(['cluster', 'show', '--config', file()]);
  }

  it('works unchanged', async () => {
    expect((await withConfig((lines) => lines)).exitCode).toBe(0);
  });

  it('names file, line and key of an unknown key, and the one that was meant', async () => {
    const error = expectRefusal(await withConfig((lines) => [...lines, '  lockTimeot: 2s']), 'CONFIG_INVALID');
    expect(error.message).toMatch(/changed\.yaml:10: backup\.lockTimeot: unknown key; did you mean "lockTimeout"/);
  });

  it('names file, line and key of a value of the wrong type', async () => {
    const error = expectRefusal(await withConfig((lines) => [...lines, '  lockAttempts: many']), 'CONFIG_INVALID');
    expect(error.message).toMatch(/changed\.yaml:10: backup\.lockAttempts: /);
  });

  it('names a file that is not there', async () => {
    const error = expectRefusal(await runStillpoint(['backup', 'list', '--config', '/nowhere/cluster.yaml']), 'CONFIG_NOT_FOUND');
    expect(error.message).toContain('/nowhere/cluster.yaml');
  });

  it('names a certificate that is not there, and the key that names it', async () => {
    const ended = await withConfig((lines) => lines.map((line) => line.replace('/ops.crt', '/gone.crt')));
    expect(expectRefusal(ended, 'CONFIG_FILE_UNREADABLE').message).toMatch(/tls\.cert: .*gone\.crt/);
  });

  it('names a private key that cannot be used', async () => {
    const broken = join(cluster.directory, 'broken.key');
    writeFileSync(broken, 'this is no key\n');
    chmodSync(broken, 0o600);
    const ended = await withConfig((lines) => lines.map((line) => line.replace(/key: .*ops\.key/, `key: ${broken}`)));
    expect(ended.exitCode).toBe(EXIT.CONFIG);
    // It is found out when nodes are called, so it is told for each of them.
    for (const { error } of ended.all<{ error: ErrorLine }>('node')) {
      expect(error.code).toBe('CONFIG_FILE_UNREADABLE');
      expect(error.message).toMatch(/tls\.key: .*broken\.key/);
    }
  });
});

describe('a node that is not fit', () => {
  it('is named when its agent does not run', async () => {
    const node = cluster.node('db2');
    await node.agent.kill('SIGTERM');
    const ended = await cluster.run('backup', 'create');
    await node.agent.start();
    expect(expectRefusal(ended, 'NODE_UNREACHABLE')).toMatchObject({ node: 'db2' });
  });

  it('is named when its agent is of another version', async () => {
    const node = cluster.node('db3');
    await node.agent.kill('SIGTERM');
    const foreign = await startForeignAgent(node, cluster.pki, '9.9.0');
    const ended = await cluster.run('backup', 'create');
    await foreign.close();
    await node.agent.start();
    expect(expectRefusal(ended, 'VERSION_SKEW').message).toContain('9.9.0');
  });

  it('is named when its server is stopped', async () => {
    const node = cluster.node('db3');
    await node.server.stop();
    const ended = await cluster.run('backup', 'create');
    await node.server.start();
    expect(expectRefusal(ended, 'SERVER_DOWN')).toMatchObject({ node: 'db3' });
  });

  it('is named when its server refuses the password, which is not told', async () => {
    const node = cluster.node('db3');
    const file = join(node.directory, 'stillpoint.password');
    writeFileSync(file, 'not-the-password\n');
    const ended = await cluster.run('backup', 'create').finally(() => writeFileSync(file, `${cluster.passwords.stillpoint}\n`));
    expect(expectRefusal(ended, 'ACCESS_DENIED')).toMatchObject({ node: 'db3' });
    expect(ended.stdout + ended.stderr).not.toContain('not-the-password');
  });

  it('is told which grant its account lacks', async () => {
    await cluster.primary.server.sql('REVOKE BINLOG MONITOR ON *.* FROM stillpoint@localhost');
    await cluster.caughtUp();
    const ended = await cluster.run('backup', 'create');
    await cluster.primary.server.sql('GRANT BINLOG MONITOR ON *.* TO stillpoint@localhost');
    await cluster.caughtUp();
    const error = expectRefusal(ended, 'PRIVILEGE_MISSING');
    expect(`${error.message} ${error.hint}`).toContain('BINLOG MONITOR');
  });

  it('never led to a set, and the next backup works', async () => {
    expect(await goodSets(cluster)).toEqual([]);
    const all = (await cluster.ok('backup', 'list', '--all')).all<SetSummary>('set');
    expect(all.filter(({ state }) => state === 'good')).toEqual([]);
    await expectNextBackupWorks(cluster);
  });
});
