import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { initAuthority, issueCertificate } from '@stillpoint/controller';
import { EXIT } from '@stillpoint/shared/errors';
import type { Clock } from '@stillpoint/shared/time';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { standingClock, user } from '../fixture/command-line.ts';
import { inspectAgentConfig, inspectConfig } from './index.ts';

const directory = mkdtempSync(join(tmpdir(), 'stillpoint-inspect-'));
const pki = join(directory, 'pki');
const at = (...path: string[]): string => join(directory, ...path);
const clock = standingClock();
const after = (days: number): Clock => ({ ...clock, now: () => new Date(clock.now().getTime() + days * 86_400_000) });

beforeAll(async () => {
  await initAuthority({ directory: pki, cluster: 'shop', clock });
  await initAuthority({ directory: at('other'), cluster: 'shop', clock });
  const issue = (role: 'agent' | 'controller', name: string, of = pki) => issueCertificate({ directory: of, role, name, clock });
  await Promise.all([
    issue('controller', 'ops'),
    issue('agent', 'db1'),
    issue('agent', 'db2'),
    issue('controller', 'stranger', at('other')),
  ]);
  mkdirSync(at('state'));
  mkdirSync(at('repository'));
  writeFileSync(at('my.cnf'), '');
  writeFileSync(at('password'), 'secret-of-the-test\n', { mode: 0o600 });
});
afterAll(() => rmSync(directory, { recursive: true }));

/** Writes a configuration and tells its path; `certificate` is a path without its ending. */
function configured(kind: 'cluster' | 'agent', certificate: string, more: readonly string[] = []): string {
  const own = kind === 'cluster' ? ['nodes: [{ name: db1, address: "10.0.0.1:7443" }]'] : ['node: db1', `repository: ${at('repository')}`];
  const tls = `tls: { ca: ${join(pki, 'ca.crt')}, cert: ${certificate}.crt, key: ${certificate}.key }`;
  const file = at(`${kind}-${Math.random().toString(36).slice(2)}.yaml`);
  writeFileSync(file, ['cluster: shop', `stateDir: ${at('state')}`, tls, ...own, ...more].join('\n'));
  return file;
}

const notInOrder = (file: string, now: Clock = clock) => inspectConfig(file, now).filter(({ status }) => status !== 'ok');

describe('config check', () => {
  it('finds a sound cluster.yaml in order', () => {
    const findings = inspectConfig(configured('cluster', join(pki, 'ops')), clock);
    expect(findings.filter(({ status }) => status !== 'ok')).toEqual([]);
    expect(findings.map(({ key }) => key)).toEqual(['', 'stateDir', 'tls.key', 'tls.cert', 'tls.cert']);
  });

  it('knows an agent.yaml when it sees one', () => {
    const server = [`mariadb: { defaultsFile: ${at('my.cnf')}, passwordFile: ${at('password')} }`, `configuration: [${at('my.cnf')}]`];
    const findings = inspectConfig(configured('agent', join(pki, 'db1'), server), clock);
    expect(findings.filter(({ status }) => status !== 'ok')).toEqual([]);
    expect(findings.map(({ key }) => key)).toEqual(expect.arrayContaining(['repository', 'mariadb.passwordFile', 'configuration']));
    expect(JSON.stringify(findings)).not.toContain('secret-of-the-test');
  });

  it.each([
    ['a controller with the certificate of an agent', 'cluster', 'db1', /role agent, this file needs role controller/],
    ['an agent with the certificate of a controller', 'agent', 'ops', /role controller, this file needs role agent/],
    ['an agent with the certificate of another', 'agent', 'db2', /is for db2, this node is db1/],
    ['a certificate of another CA', 'cluster', '../other/stranger', /was not issued by the CA/],
    ['a certificate that is not there', 'agent', 'gone', /gone\.key: no such file/],
  ] as const)('finds %s', (_what, kind, certificate, message) => {
    const [first, ...others] = notInOrder(configured(kind, join(pki, certificate)));
    expect(first).toMatchObject({ status: 'failed', message: expect.stringMatching(message) });
    expect(first?.hint ?? others.at(-1)?.hint).not.toBe('');
  });

  it('warns of a certificate before it expires, and fails after', () => {
    const file = configured('cluster', join(pki, 'ops'));
    expect(notInOrder(file, after(800))).toMatchObject([{ status: 'warning', message: expect.stringMatching(/2[45] days$/) }]);
    expect(notInOrder(file, after(900))).toMatchObject([{ status: 'failed', message: expect.stringContaining('expired on') }]);
  });

  it('warns of a secret that everybody can read', () => {
    chmodSync(at('password'), 0o644);
    const findings = notInOrder(
      configured('agent', join(pki, 'db1'), [`mariadb: { defaultsFile: ${at('my.cnf')}, passwordFile: ${at('password')} }`]),
    );
    chmodSync(at('password'), 0o600);
    expect(findings).toMatchObject([{ key: 'mariadb.passwordFile', status: 'warning', hint: `chmod 600 ${at('password')}` }]);
  });

  it('has a finding for each mistake in the file, with line and key', () => {
    const file = configured('agent', join(pki, 'db1'), ['stopGrac: 5s', 'listen: nowhere']);
    const findings = inspectAgentConfig(file, clock);
    expect(findings.map(({ message }) => message)).toEqual([
      `${file}:6: stopGrac: unknown key; did you mean "stopGrace"?`,
      `${file}:7: listen: must be host:port`,
    ]);
  });

  it('shows what it found, and ends with the exit code of configuration errors', async () => {
    const { type } = user();
    const good = await type('config', 'check', '--config', configured('cluster', join(pki, 'ops')));
    expect(good.exitCode).toBe(EXIT.OK);
    expect(good.stdout).toMatch(/In order\.\n$/);
    const bad = await type('config', 'check', '--agent', '/nowhere/agent.yaml');
    expect(bad.exitCode).toBe(EXIT.CONFIG);
    expect(bad.stdout).toMatchInlineSnapshot(`
      "/nowhere/agent.yaml
        failed   /nowhere/agent.yaml: no such file
                 hint: Name it with --config.

      1 problem found.
      "
    `);
  });
});
