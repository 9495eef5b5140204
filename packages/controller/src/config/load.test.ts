import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { loadClusterConfig } from './load.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'stillpoint-config-'));
  for (const name of ['ca.crt', 'admin.crt', 'admin.key']) writeFileSync(join(directory, name), '');
});
afterEach(() => rmSync(directory, { recursive: true }));

const load = (text: string) => {
  const path = join(directory, 'cluster.yaml');
  writeFileSync(path, text.replaceAll('DIR', directory));
  return loadClusterConfig(path);
};

const MINIMAL = `cluster: shop
tls: { ca: DIR/ca.crt, cert: DIR/admin.crt, key: DIR/admin.key }
nodes:
  - { name: db1, address: "10.0.0.1:7443" }
`;

it('reads a cluster with the defaults of everything else', () => {
  expect(load(MINIMAL)).toMatchObject({
    cluster: 'shop',
    stateDir: '/var/lib/stillpoint/controller',
    backup: { lockTimeout: 5_000, lockAttempts: 5, lease: 10_000, maxBlock: 60_000, checksums: { enabled: true } },
    restore: { startTimeout: 120_000 },
  });
});

it.each([
  ['an unknown key', `${MINIMAL}backup:\n  maxBlok: 1m\n`, /cluster\.yaml:6: backup\.maxBlok: unknown key; did you mean "maxBlock"\?/],
  ['a wrong duration', `${MINIMAL}backup:\n  lease: soon\n`, /cluster\.yaml:6: backup\.lease: "soon" is not a duration/],
  [
    'a recipient that is none',
    `${MINIMAL}backup:\n  encryption: { recipients: [ssh-rsa] }\n`,
    /cluster\.yaml:6: backup\.encryption\.recipients\.0: "ssh-rsa" is not a recipient/,
  ],
  ['a rate without a unit', `${MINIMAL}backup:\n  throttle: 50\n`, /cluster\.yaml:6: backup\.throttle: "50" is not a rate such as 50MiB/],
  ['a wrong level', `${MINIMAL}backup:\n  compressionLevel: 20\n`, /backup\.compressionLevel: must be a zstd level from 1 to 19, or none/],
  ['a wrong class', `${MINIMAL}backup:\n  ionice: realtime\n`, /backup\.ionice: must be idle, or best-effort:0/],
  ['a budget of nothing', `${MINIMAL}backup:\n  maxBlock: 0s\n`, /cluster\.yaml:6: backup\.maxBlock: must be between 1 ms and 24 h 00 m/],
  ['a lease of days', `${MINIMAL}backup:\n  lease: 2d\n`, /cluster\.yaml:6: backup\.lease: must be between 1\.00 s and 10 m 00 s/],
  ['a missing key', 'cluster: shop\n', /tls: missing/],
  ['two nodes of one name', `${MINIMAL}  - { name: db1, address: "10.0.0.2:7443" }\n`, /nodes: two nodes have the same name/],
])('names file, line and key of %s', (_, text, message) => {
  expect(() => load(text)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringMatching(message) }));
});

it('never quotes an identity that stands in the place of a recipient', () => {
  const identity = `AGE-SECRET-KEY-1${'Q'.repeat(58)}`;
  const text = `${MINIMAL}backup:\n  encryption: { recipients: [${identity}] }\n`;
  const refused = expect.objectContaining({
    code: 'CONFIG_INVALID',
    message: expect.stringMatching(/this is an identity, which is secret/),
  });
  expect(() => load(text)).toThrow(refused);
  expect(() => load(text)).not.toThrow(expect.objectContaining({ message: expect.stringContaining('QQQQ') }));
});

it('names file, line and key of a certificate that cannot be read', () => {
  expect(() => load(MINIMAL.replace('admin.crt', 'gone.crt'))).toThrow(
    expect.objectContaining({
      code: 'CONFIG_FILE_UNREADABLE',
      message: expect.stringMatching(/cluster\.yaml:2: tls\.cert: .*gone\.crt: no such file/),
    }),
  );
});

it('tells of a file that is not there', () => {
  expect(() => loadClusterConfig(join(directory, 'none.yaml'))).toThrow(expect.objectContaining({ code: 'CONFIG_NOT_FOUND' }));
});
