import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { bound, noSignal, onSleep, partsOf, suspendTerms } from '../../../../../../test/harness/engine-control.ts';
import { type EnginePrograms, enginePrograms } from '../../../../../../test/harness/engine-programs.ts';
import { eventually } from '../../../../../../test/harness/eventually.ts';
import {
  type CertificateFiles,
  type Certificates,
  type HttpsServer,
  makeCertificates,
  type SeenRequest,
  serveHttps,
  writeCmapiConfig,
} from '../../../../../../test/harness/https-server.ts';
import { createControl } from '../control.ts';
import type { EngineControl } from '../types.ts';
import { cmapiDriver } from './driver.ts';

const KEY = 'key-of-the-test';
let engine: EnginePrograms;
let certificates: Certificates;
let own: CertificateFiles;
let server: HttpsServer;
/** What cmapi does instead of what it is asked; undefined for that. */
let misbehave: ((request: SeenRequest) => Promise<{ status: number; body: string } | undefined>) | undefined;
let configFile: string;

const json = (value: unknown, status = 200) => ({ status, body: JSON.stringify(value) });

/** cmapi as far as its driver uses it. */
async function cmapi(request: SeenRequest): Promise<{ status: number; body: string }> {
  const instead = await misbehave?.(request);
  if (instead !== undefined) return instead;
  if (request.headers['x-api-key'] !== KEY) return json({ error: { http_status: '401 Unauthorized', message: 'Incorrect API key' } }, 401);
  if (request.method === 'GET' && request.path === '/cmapi/0.4.0/cluster/status') return json({ timestamp: 'now', num_nodes: 3 });
  if (request.path !== '/cmapi/0.4.0/cluster/mode-set') return json({ error: 'not found' }, 404);
  if (request.headers['content-type'] !== 'application/json')
    return { status: 415, body: 'Expected an entity of content type application/json' };
  const { mode } = JSON.parse(request.body) as { mode: string };
  if (mode === 'readonly') engine.set('ro');
  else engine.clear('ro');
  return json({ timestamp: 'now', 'cluster-mode': mode });
}

beforeEach(async () => {
  misbehave = undefined;
  engine = enginePrograms();
  certificates = makeCertificates();
  own = certificates.selfSigned('localhost');
  server = await serveHttps(own, cmapi);
  configFile = writeCmapiConfig(join(engine.directory, 'cmapi_server.conf'), KEY);
});
afterEach(async () => {
  await server.close();
  certificates.remove();
  engine.remove();
});

const driver = (more: { url?: string; ca?: string } = {}) =>
  cmapiDriver(engine.engine(), { cmapi: { url: more.url ?? `https://127.0.0.1:${server.port}`, configFile, ca: more.ca } });
const control = (more: { url?: string; ca?: string } = {}): EngineControl =>
  createControl({ ...partsOf(engine, {}, onSleep()), driver: driver(more) });
const modes = (): string[] => server.seen.filter(({ method }) => method === 'PUT').map(({ body }) => body);

test('cmapi suspends and resumes, and dbrmctl sees it', async () => {
  const held = control();
  await held.requireWritable(noSignal);
  await held.suspend(suspendTerms());
  expect(engine.has('ro')).toBe(true);
  expect(await held.resume(bound())).toMatchObject({ way: { by: 'cmapi', detour: undefined } });
  expect(modes()).toEqual(['{"mode":"readonly"}', '{"mode":"readwrite"}']);
  expect(engine.commands()).toEqual([]);
});

describe('before writers are made to wait', () => {
  test('a node that does not answer cmapi is a reason not to begin', async () => {
    misbehave = () => Promise.resolve(json({ error: 'Got an error retrieving status from node 10.0.0.12' }, 422));
    await expect(control().requireWritable(noSignal)).rejects.toMatchObject({
      code: 'ENGINE_NOT_READY',
      message: expect.stringContaining('retrieving status from node 10.0.0.12'),
    });
  });

  test('so is a cmapi that is down', async () => {
    await server.close();
    await expect(control().requireWritable(noSignal)).rejects.toMatchObject({
      code: 'ENGINE_NOT_READY',
      message: expect.stringContaining('ECONNREFUSED'),
    });
  });

  test('a cmapi that manages nothing is named', async () => {
    misbehave = () => Promise.resolve(json({ timestamp: 'now', num_nodes: 0 }));
    await expect(control().requireWritable(noSignal)).rejects.toMatchObject({
      code: 'COLUMNSTORE_CONFIG',
      hint: expect.stringContaining('dbrmctl'),
    });
  });

  test('a key that cmapi does not accept is named by its file, not told', async () => {
    writeCmapiConfig(configFile, 'another-key');
    const error = await control()
      .requireWritable(noSignal)
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'COLUMNSTORE_CONFIG', message: expect.stringContaining(configFile) });
    expect(JSON.stringify(error) + String(error)).not.toContain('another-key');
  });

  test('no key is sent to a cmapi that has none: it would keep it', async () => {
    writeCmapiConfig(configFile, undefined);
    await expect(control().requireWritable(noSignal)).rejects.toMatchObject({
      code: 'COLUMNSTORE_CONFIG',
      message: expect.stringContaining('no API key'),
      hint: expect.stringContaining('mcs cluster set api-key'),
    });
    await expect(driver().suspend(noSignal)).rejects.toMatchObject({ code: 'COLUMNSTORE_CONFIG' });
    expect(server.seen).toEqual([]);
  });
});

describe('what cmapi says', () => {
  test('is not believed when dbrmctl does not see it', async () => {
    misbehave = (request) => Promise.resolve(request.method === 'PUT' ? json({ timestamp: '', 'cluster-mode': 'readonly' }) : undefined);
    await expect(control().suspend(suspendTerms({ clock: onSleep() }))).rejects.toMatchObject({
      code: 'SUSPEND_FAILED',
      message: 'cmapi accepted it, but the engine says: OK. (and the system is ready)',
    });
  });

  test.each([
    [422, '{"error": "Starting transaction isn\'t successful."}', "Starting transaction isn't successful."],
    [401, '{"error": {"message": "Empty API key."}}', 'Empty API key.'],
    [200, '', 'nothing'],
  ])('is told when it refuses: %d %s', async (status, body, words) => {
    misbehave = () => Promise.resolve({ status, body });
    await expect(control().suspend(suspendTerms())).rejects.toMatchObject({
      code: 'SUSPEND_FAILED',
      message: `cmapi did not do as it was asked: cmapi answered ${status}: ${words}`,
    });
  });
});

describe('a resume', () => {
  test('is done by dbrmctl when cmapi refuses, and says so', async () => {
    engine.set('ro');
    misbehave = () => Promise.resolve(json({ error: 'Error while committing transaction.' }, 422));
    expect(await control().resume(bound())).toMatchObject({
      way: { by: 'dbrmctl', detour: expect.stringContaining('committing transaction') },
    });
    expect(engine.has('ro')).toBe(false);
  });

  test('is done by dbrmctl when cmapi only says that it did it', async () => {
    engine.set('ro');
    misbehave = () => Promise.resolve(json({ 'cluster-mode': 'readwrite' }));
    expect(await control().resume(bound())).toMatchObject({ way: { by: 'dbrmctl', detour: expect.stringContaining('Read Only!') } });
  });

  test('is done by dbrmctl when cmapi waits for a node that is down', async () => {
    engine.set('ro');
    const answer = Promise.withResolvers<undefined>();
    misbehave = () => answer.promise;
    expect(await control().resume(bound(500))).toMatchObject({ way: { by: 'dbrmctl', detour: expect.stringContaining('timeout') } });
    expect(engine.has('ro')).toBe(false);
    answer.resolve(undefined);
  });

  test('needs no key', async () => {
    engine.set('ro');
    writeCmapiConfig(configFile, undefined);
    expect(await control().resume(bound())).toMatchObject({ way: { by: 'dbrmctl', detour: expect.stringContaining('no API key') } });
  });
});

test('a suspension that cmapi carries out after everybody has left is undone, and nothing else is begun before', async () => {
  const answer = Promise.withResolvers<undefined>();
  const abort = new AbortController();
  const reason = new Error('enough');
  misbehave = (request) => {
    if (request.method !== 'PUT') return Promise.resolve(undefined);
    abort.abort(reason);
    return answer.promise;
  };
  const held = control();
  await expect(held.suspend(suspendTerms({ signal: abort.signal }))).rejects.toBe(reason);
  expect(await held.resume(bound())).toMatchObject({ way: { by: 'dbrmctl' } });
  await expect(control().requireWritable(noSignal)).rejects.toMatchObject({
    code: 'ENGINE_NOT_READY',
    message: expect.stringContaining('has not answered an earlier request to make the engine readonly'),
  });
  answer.resolve(undefined);
  await eventually(() => engine.calls().filter((call) => call === 'dbrmctl readwrite').length >= 2);
  await eventually(() =>
    control()
      .requireWritable(noSignal)
      .then(
        () => true,
        () => false,
      ),
  );
  expect(engine.has('ro')).toBe(false);
});

describe('the key is sent to nobody but cmapi', () => {
  test('not to another host that nothing vouches for', async () => {
    await expect(driver({ url: 'https://192.0.2.1:8640' }).suspend(noSignal)).rejects.toMatchObject({
      code: 'COLUMNSTORE_CONFIG',
      message: 'cmapi at 192.0.2.1 (192.0.2.1) is not on this host, and there is nothing to verify it by',
      hint: expect.stringContaining('columnstore.cmapi.ca'),
    });
  });

  test('not to one with another certificate', async () => {
    const other = certificates.selfSigned('localhost');
    await expect(driver({ ca: other.certificate }).suspend(noSignal)).rejects.toMatchObject({
      code: 'COLUMNSTORE_CONFIG',
      message: expect.stringContaining(other.certificate),
    });
    expect(server.seen).toEqual([]);
  });

  test('but to one with the very certificate, whatever its name', async () => {
    await driver({ ca: own.certificate }).suspend(noSignal);
    expect(engine.has('ro')).toBe(true);
  });

  test('to one whose certificate a CA signed, by its name only', async () => {
    await server.close();
    const ca = certificates.selfSigned('ca');
    server = await serveHttps(certificates.signedBy(ca, 'localhost'), cmapi);
    await driver({ ca: ca.certificate, url: `https://localhost:${server.port}` }).suspend(noSignal);
    expect(engine.has('ro')).toBe(true);
    await expect(driver({ ca: ca.certificate }).suspend(noSignal)).rejects.toMatchObject({ code: 'COLUMNSTORE_CONFIG' });
    expect(server.seen).toHaveLength(1);
  });

  test('a certificate that cannot be read is named', async () => {
    await expect(driver({ ca: join(engine.directory, 'none.pem') }).suspend(noSignal)).rejects.toMatchObject({
      code: 'COLUMNSTORE_CONFIG',
      message: expect.stringContaining('none.pem'),
    });
  });
});
