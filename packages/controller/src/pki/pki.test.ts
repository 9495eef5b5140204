import { X509Certificate } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { StillpointError } from '@stillpoint/shared/errors';
import { readTlsMaterial } from '@stillpoint/shared/rpc';
import { type Clock, systemClock } from '@stillpoint/shared/time';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { initAuthority, inspectExpiry, issueCertificate } from './index.ts';

const DAY_MS = 86_400_000;
const at = (iso: string): Clock => ({ ...systemClock, now: () => new Date(iso) });
const clock = at('2026-11-21T12:00:00Z');

let root: string;
let directory: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'stillpoint-pki-'));
  directory = join(root, 'pki');
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const refusal = (work: Promise<unknown>): Promise<StillpointError> =>
  work.then(
    () => Promise.reject(new Error('was not refused')),
    (error: StillpointError) => error,
  );
const modeOf = (path: string): number => statSync(path).mode & 0o777;
const read = (path: string): X509Certificate => new X509Certificate(readFileSync(path));

describe('a new CA', () => {
  it('is valid for ten years from an hour ago, and signs certificates but no CAs', async () => {
    const { cert, key, expiresAt } = await initAuthority({ directory, cluster: 'shop', clock });
    expect(expiresAt).toEqual(new Date(clock.now().getTime() + 3650 * DAY_MS));
    const certificate = read(cert);
    expect(certificate.validFromDate).toEqual(new Date('2026-11-21T11:00:00Z'));
    expect(certificate.validToDate).toEqual(expiresAt);
    expect(certificate.ca).toBe(true);
    expect(certificate.subjectAltName).toBe('URI:stillpoint://shop/ca');
    expect(certificate.publicKey.asymmetricKeyDetails?.namedCurve).toBe('prime256v1');
    expect(certificate.verify(certificate.publicKey)).toBe(true);
    expect([modeOf(key), modeOf(cert), modeOf(directory)]).toEqual([0o600, 0o644, 0o700]);
  });

  it('never takes the place of an old one', async () => {
    const { cert, key } = await initAuthority({ directory, cluster: 'shop', clock });
    const before = [readFileSync(cert), readFileSync(key)];
    const error = await refusal(initAuthority({ directory, cluster: 'shop', clock }));
    expect(error).toMatchObject({ code: 'USAGE', message: `${key} exists and is not overwritten` });
    expect([readFileSync(cert), readFileSync(key)]).toEqual(before);
  });

  it('leaves nothing behind when it cannot be made', async () => {
    mkdirSync(directory);
    writeFileSync(join(directory, 'ca.crt'), 'something else');
    expect(await refusal(initAuthority({ directory, cluster: 'shop', clock }))).toMatchObject({ code: 'USAGE' });
    expect(readdirSync(directory)).toEqual(['ca.crt']);
  });

  it('says where it cannot be written', async () => {
    writeFileSync(directory, 'a file');
    expect(await refusal(initAuthority({ directory, cluster: 'shop', clock }))).toMatchObject({
      code: 'CONFIG_FILE_UNREADABLE',
      message: `${join(directory, 'ca.key')} cannot be written: EEXIST`,
    });
    expect(await refusal(initAuthority({ directory: join(directory, 'below'), cluster: 'shop', clock }))).toMatchObject({
      code: 'CONFIG_FILE_UNREADABLE',
      message: expect.stringMatching(/ca\.key cannot be written: ENOTDIR$/),
    });
  });

  it.each(['', '../shop', 'a b', '-x'])('is not made for a cluster named %j', async (cluster) => {
    expect(await refusal(initAuthority({ directory, cluster, clock }))).toMatchObject({ code: 'USAGE' });
    expect(existsSync(directory)).toBe(false);
  });

  it.each([0, -1, 1.5, Number.NaN, 40_000])('is not made for %d days', async (validDays) => {
    expect(await refusal(initAuthority({ directory, cluster: 'shop', clock, validDays }))).toMatchObject({ code: 'USAGE' });
  });
});

describe('an issued certificate', () => {
  beforeEach(() => initAuthority({ directory, cluster: 'shop', clock }));

  it('is one that both sides accept, beside its key and CA', async () => {
    const out = join(root, 'db1');
    const issued = await issueCertificate({
      directory,
      role: 'agent',
      name: 'db1',
      addresses: ['10.0.0.1', '::1', 'db1.example.com'],
      clock,
      out,
    });
    expect(issued).toEqual({
      ca: join(out, 'ca.crt'),
      cert: join(out, 'db1.crt'),
      key: join(out, 'db1.key'),
      cluster: 'shop',
      expiresAt: new Date(clock.now().getTime() + 825 * DAY_MS),
    });
    expect([modeOf(issued.key), modeOf(issued.cert), modeOf(issued.ca)]).toEqual([0o600, 0o644, 0o644]);
    expect(readFileSync(issued.ca)).toEqual(readFileSync(join(directory, 'ca.crt')));
    expect(readTlsMaterial(issued, 'shop', clock.now()).identity).toEqual({ cluster: 'shop', role: 'agent', name: 'db1' });
    const certificate = read(issued.cert);
    expect(certificate.ca).toBe(false);
    expect(certificate.subjectAltName).toBe(
      'URI:stillpoint://shop/agent/db1, IP Address:10.0.0.1, IP Address:0:0:0:0:0:0:0:1, DNS:db1.example.com',
    );
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
  });

  it('of a controller cannot serve', async () => {
    const { cert } = await issueCertificate({ directory, role: 'controller', name: 'ops', clock });
    expect(read(cert).keyUsage).toEqual(['1.3.6.1.5.5.7.3.2']);
  });

  it('has a number and a key of its own', async () => {
    const certificates = [];
    for (let i = 0; i < 8; i++) certificates.push(read((await issueCertificate({ directory, role: 'agent', name: `db${i}`, clock })).cert));
    expect(new Set(certificates.map(({ serialNumber }) => serialNumber)).size).toBe(8);
    expect(new Set(certificates.map(({ publicKey }) => publicKey.export({ format: 'pem', type: 'spki' }))).size).toBe(8);
    for (const { serialNumber } of certificates) expect(serialNumber).toMatch(/^[4-7][0-9A-F]{31}$/);
  });

  it('does not outlive its CA', async () => {
    const late = at('2036-01-01T00:00:00Z');
    const { cert, expiresAt } = await issueCertificate({ directory, role: 'agent', name: 'db1', clock: late });
    const authority = read(join(directory, 'ca.crt'));
    expect(expiresAt).toEqual(authority.validToDate);
    expect(read(cert).validToDate).toEqual(authority.validToDate);
  });

  it('never takes the place of another, nor its CA that of another CA', async () => {
    const first = await issueCertificate({ directory, role: 'agent', name: 'db1', clock });
    const before = readFileSync(first.cert);
    expect(await refusal(issueCertificate({ directory, role: 'agent', name: 'db1', clock }))).toMatchObject({
      code: 'USAGE',
      message: `${first.key} exists and is not overwritten`,
    });
    expect(readFileSync(first.cert)).toEqual(before);
    const other = join(root, 'other');
    await initAuthority({ directory: other, cluster: 'bank', clock });
    expect(await refusal(issueCertificate({ directory, role: 'agent', name: 'db2', clock, out: other }))).toMatchObject({
      code: 'USAGE',
      message: `${join(other, 'ca.crt')} exists and is not overwritten`,
    });
    expect(readdirSync(other).sort()).toEqual(['ca.crt', 'ca.key']);
  });

  it.each([
    ['name', { name: '../db1' }],
    ['name', { name: 'ca' }],
    ['role', { role: 'admin' as never }],
    ['address', { addresses: ['10.0.0.1:7443'] }],
    ['address', { addresses: ['a b'] }],
    ['days', { validDays: 0 }],
  ])('is not made for an unusable %s', async (_what, change) => {
    expect(await refusal(issueCertificate({ directory, role: 'agent', name: 'db1', clock, ...change }))).toMatchObject({ code: 'USAGE' });
    expect(readdirSync(directory).sort()).toEqual(['ca.crt', 'ca.key']);
  });

  it('needs a CA', async () => {
    const none = join(root, 'none');
    expect(await refusal(issueCertificate({ directory: none, role: 'agent', name: 'db1', clock }))).toMatchObject({
      code: 'CONFIG_FILE_UNREADABLE',
      message: `${join(none, 'ca.crt')}: no such file`,
      hint: expect.stringContaining('stillpoint pki init'),
    });
  });

  it('needs a CA that is still valid', async () => {
    const error = await refusal(issueCertificate({ directory, role: 'agent', name: 'db1', clock: at('2040-01-01T00:00:00Z') }));
    expect(error).toMatchObject({ code: 'TLS_REFUSED', message: expect.stringMatching(/ca\.crt: expired on 2036-11-18T12:00:00\.000Z$/) });
  });

  it('needs the key of its CA', async () => {
    const other = join(root, 'other');
    await initAuthority({ directory: other, cluster: 'shop', clock });
    const key = join(directory, 'ca.key');
    chmodSync(key, 0o600);
    writeFileSync(key, readFileSync(join(other, 'ca.key')));
    const request = { directory, role: 'agent', name: 'db1', clock } as const;
    expect(await refusal(issueCertificate(request))).toMatchObject({
      code: 'CONFIG_FILE_UNREADABLE',
      message: `${key}: is not the key of ${join(directory, 'ca.crt')}`,
    });
    writeFileSync(key, 'nonsense');
    expect((await refusal(issueCertificate(request))).message).toBe(`${key}: is not an unencrypted PEM private key`);
  });

  it('is not made by a CA that is none of ours', async () => {
    const { cert, key } = await issueCertificate({ directory, role: 'agent', name: 'db1', clock });
    const posing = join(root, 'posing');
    mkdirSync(posing);
    writeFileSync(join(posing, 'ca.crt'), readFileSync(cert));
    writeFileSync(join(posing, 'ca.key'), readFileSync(key));
    expect(await refusal(issueCertificate({ directory: posing, role: 'agent', name: 'db2', clock }))).toMatchObject({
      code: 'CONFIG_FILE_UNREADABLE',
      message: expect.stringMatching(/is not a CA of `stillpoint pki init`$/),
    });
  });
});

describe('inspectExpiry', () => {
  it('tells which certificate expires first, and when', async () => {
    await initAuthority({ directory, cluster: 'shop', clock });
    const tls = await issueCertificate({ directory, role: 'agent', name: 'db1', clock, validDays: 30 });
    expect(inspectExpiry(tls, clock)).toEqual({ setting: 'tls.cert', path: tls.cert, expiresAt: tls.expiresAt, daysLeft: 30 });
    expect(inspectExpiry(tls, at('2026-12-20T12:00:01Z')).daysLeft).toBe(0);
    expect(inspectExpiry(tls, at('2026-12-22T12:00:00Z')).daysLeft).toBe(-1);
    const short = join(root, 'short');
    await initAuthority({ directory: short, cluster: 'shop', clock, validDays: 5 });
    expect(inspectExpiry({ ...tls, ca: join(short, 'ca.crt') }, clock)).toMatchObject({ setting: 'tls.ca', daysLeft: 5 });
  });

  it('names what it cannot read', async () => {
    const path = join(root, 'x.crt');
    writeFileSync(path, 'nonsense');
    const tls = { ca: path, cert: join(root, 'none.crt'), key: path };
    expect(() => inspectExpiry(tls, clock)).toThrow(
      expect.objectContaining({ code: 'CONFIG_FILE_UNREADABLE', message: `tls.cert: ${tls.cert}: no such file` }),
    );
    expect(() => inspectExpiry({ ...tls, cert: path }, clock)).toThrow(
      expect.objectContaining({ message: `tls.cert: ${path}: is not a PEM certificate` }),
    );
  });
});
