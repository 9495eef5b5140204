import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { clockAt, type TestAuthority, testAuthority } from '../../../../test/harness/certificates.ts';
import { agentClient, failureOf, serveAgent } from '../../../../test/harness/served.ts';
import type { TlsSetting } from '../config/index.ts';
import type { StillpointError } from '../errors/index.ts';
import { readTlsMaterial } from './index.ts';

let ca: TestAuthority;
let otherCa: TestAuthority;
let db1: TlsSetting;
let ops: TlsSetting;

beforeAll(async () => {
  ca = await testAuthority('shop');
  otherCa = await testAuthority('shop');
  db1 = await ca.issue('agent', 'db1');
  ops = await ca.issue('controller', 'ops');
});
afterAll(() => {
  ca.remove();
  otherCa.remove();
});

/** A file with a content of its own, beside the certificates. */
function file(name: string, content: string): string {
  const path = join(ca.directory, name);
  writeFileSync(path, content);
  return path;
}

/** The error of our own material, which client and server throw alike. */
async function refusal(tls: TlsSetting): Promise<StillpointError> {
  const fromServer = await failureOf(serveAgent(tls, {}));
  expect(() => agentClient(tls, '127.0.0.1:1')).toThrow(expect.objectContaining({ code: fromServer.code, message: fromServer.message }));
  return fromServer;
}

describe('our own certificate, key and CA', () => {
  it('tell who we are', () => {
    expect(readTlsMaterial(ops, 'shop').identity).toEqual({ cluster: 'shop', role: 'controller', name: 'ops' });
  });

  it('may come with further CAs in one file', async () => {
    const other = await otherCa.issue('controller', 'other');
    const both = file('both.crt', `# old and new\n${readFileSync(other.ca, 'utf8')}\n${readFileSync(ops.ca, 'utf8')}`);
    expect(readTlsMaterial({ ...ops, ca: both }, 'shop').identity.name).toBe('ops');
  });

  it.each(['ca', 'cert', 'key'] as const)('are named when %s is missing', async (which) => {
    const path = join(ca.directory, 'none.pem');
    expect(await refusal({ ...db1, [which]: path })).toMatchObject({
      code: 'CONFIG_FILE_UNREADABLE',
      message: `tls.${which}: ${path}: no such file`,
    });
  });

  it.each([
    ['ca', 'hello', 'is not a PEM certificate'],
    ['cert', '', 'is not a PEM certificate'],
    ['cert', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', 'holds a broken certificate'],
    ['key', 'hello', 'is not an unencrypted PEM private key'],
    ['key', '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n', 'is not an unencrypted PEM private key'],
  ] as const)('are named when %s is not what it should be: %j', async (which, content, why) => {
    const path = file('odd.pem', content);
    const error = await refusal({ ...db1, [which]: path });
    expect(error).toMatchObject({ code: 'CONFIG_FILE_UNREADABLE', message: `tls.${which}: ${path}: ${why}` });
    if (which === 'key') expect(error.cause).toBeUndefined();
  });

  it('are named when certificate and key were exchanged', async () => {
    expect((await refusal({ ...db1, cert: db1.key, key: db1.cert })).message).toBe(`tls.cert: ${db1.key}: is not a PEM certificate`);
  });

  it('are named when the key belongs to another certificate', async () => {
    expect(await refusal({ ...db1, key: ops.key })).toMatchObject({
      code: 'CONFIG_FILE_UNREADABLE',
      message: `tls.key: ${ops.key}: is not the key of the certificate ${db1.cert}`,
    });
  });

  it('are refused when the certificate has expired, or is not valid yet, with the date', async () => {
    const expired = await ca.issue('agent', 'expired', { clock: clockAt(-30), validDays: 10 });
    expect(await refusal(expired)).toMatchObject({
      code: 'TLS_REFUSED',
      message: expect.stringMatching(/^tls\.cert: \S+expired\.crt: expired on \d{4}-\d\d-\d\dT[\d:.]+Z$/),
    });
    const early = await ca.issue('agent', 'early', { clock: clockAt(2) });
    expect(await refusal(early)).toMatchObject({
      code: 'TLS_REFUSED',
      message: expect.stringMatching(/^tls\.cert: \S+early\.crt: is not valid before \d{4}-/),
    });
  });

  it('are refused when the certificate was issued by another CA, even one of the same name', async () => {
    const other = await otherCa.issue('agent', 'db1');
    expect(await refusal({ ...db1, ca: other.ca })).toMatchObject({
      code: 'TLS_REFUSED',
      message: `tls.cert: ${db1.cert}: was not issued by the CA in ${other.ca} (tls.ca)`,
    });
  });

  it('are refused when the certificate is none of ours', async () => {
    const key = join(ca.directory, 'ca.key');
    expect(await refusal({ ca: db1.ca, cert: db1.ca, key })).toMatchObject({
      code: 'TLS_REFUSED',
      message: expect.stringMatching(/it names no role$/),
    });
  });

  it('are refused when they are for another cluster', () => {
    expect(() => readTlsMaterial(ops, 'bank')).toThrow(
      expect.objectContaining({
        code: 'TLS_REFUSED',
        message: `tls.cert: ${ops.cert}: is for cluster shop, the configuration is for bank`,
      }),
    );
  });
});

describe('a server', () => {
  it('needs a certificate of role agent', async () => {
    expect(await failureOf(serveAgent(ops, {}))).toMatchObject({
      code: 'TLS_REFUSED',
      message: `tls.cert: ${ops.cert}: is of role controller, a server needs role agent`,
    });
  });

  it('needs the certificate of its own node', async () => {
    const cert = join(ca.directory, 'renamed.crt');
    copyFileSync(db1.cert, cert);
    expect(await failureOf(serveAgent({ ...db1, cert }, {}, { node: 'db2' }))).toMatchObject({
      code: 'NODE_MISMATCH',
      message: `tls.cert: ${cert}: is issued for node db1, the configuration says db2`,
    });
  });
});
