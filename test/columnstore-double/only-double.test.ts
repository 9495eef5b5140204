import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:https';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, describe, expect, test } from 'vitest';
import { type Double, type DoubleOptions, startDouble } from '../fixtures/columnstore/double.ts';
import type { DoubleNode } from '../fixtures/columnstore/double-node.ts';
import { eventually } from '../harness/eventually.ts';

// What follows was read in the engine's sources and never seen on a real engine: 6.4.12, which the conformance suite asks, has none of it.

let double: Double;
const start = async (options: DoubleOptions): Promise<void> => {
  double = await startDouble(options);
};
afterEach(() => double?.stop());

interface Answer {
  readonly status: number | undefined;
  readonly body: unknown;
}

interface Request {
  readonly method?: string;
  readonly path: string;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

async function ask({ cmapi }: DoubleNode, { method = 'GET', path, body = '', headers = {} }: Request): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const all = { 'x-api-key': 'a-key-of-the-double', 'Content-Length': String(Buffer.byteLength(body)), ...headers };
  const call = request(`${cmapi?.url}${path}`, { method, headers: all, rejectUnauthorized: false }, (response) => {
    text(response).then((said) => resolve({ status: response.statusCode, body: JSON.parse(said) as unknown }), reject);
  });
  call.on('error', reject);
  call.end(body);
  return await promise;
}

const JSON_TYPE = { 'Content-Type': 'application/json' };
const BASE = '/cmapi/0.4.0';
const setMode = (node: DoubleNode, mode: string): Promise<Answer> =>
  ask(node, { method: 'PUT', path: `${BASE}/cluster/mode-set`, body: JSON.stringify({ mode }), headers: JSON_TYPE });

describe('seen on the double only: cmapi', () => {
  test('any node sets the mode for all; only the one with controllernode tells it', async () => {
    await start({ modules: [[1], [2]] });
    const [first, second] = double.nodes as readonly [DoubleNode, DoubleNode];
    const status = async (node: DoubleNode) => (await ask(node, { path: `${BASE}/node/status` })).body;
    expect(await status(first)).toMatchObject({ dbrm_mode: 'master', cluster_mode: 'readwrite', dbroots: ['1'], module_id: 1 });
    expect(await status(second)).toMatchObject({ dbrm_mode: 'slave', cluster_mode: 'readonly', dbroots: ['2'], module_id: 2 });
    expect(await setMode(second, 'readonly')).toEqual({ status: 200, body: { timestamp: expect.any(String), 'cluster-mode': 'readonly' } });
    expect((await first.run('dbrmctl', ['status'])).stdout).toBe('DBRM is currently Read Only!\n');
    expect((await setMode(second, 'readwrite')).status).toBe(200);
    expect(await ask(first, { path: `${BASE}/node/primary` })).toEqual({ status: 200, body: { is_primary: 'True' } });
    expect(await ask(second, { path: `${BASE}/node/new_primary` })).toEqual({ status: 200, body: { is_primary: false } });
  });

  test('it takes its own failure to reach controllernode for readonly', async () => {
    await start({ modules: [[1], [2]] });
    await double.primary.kill('controllernode');
    expect(await setMode(double.primary, 'readonly')).toMatchObject({ status: 200, body: { 'cluster-mode': 'readonly' } });
    expect(await setMode(double.primary, 'readwrite')).toEqual({
      status: 422,
      body: { error: 'Error while setting cluster mode to readwrite' },
    });
  });

  test('a node that is down: 422 after a while, to whoever sets the mode, and at once to whoever asks for the status', async () => {
    await start({ modules: [[1], [2]] });
    await double.nodes[1]?.cmapi?.stop();
    expect(await setMode(double.primary, 'readonly')).toEqual({ status: 422, body: { error: "Starting transaction isn't successful." } });
    expect(await ask(double.primary, { path: `${BASE}/cluster/status` })).toEqual({
      status: 422,
      body: { error: expect.stringMatching(/^Got an error retrieving status from node /) },
    });
    expect(double.state().readOnly).toBe(false);
  });

  test('without registered nodes there is no master', async () => {
    await start({ cmapi: true });
    expect(await setMode(double.primary, 'readonly')).toMatchObject({ status: 200 });
    double.unregister();
    expect(await setMode(double.primary, 'readonly')).toEqual({ status: 422, body: { error: 'No master found in the cluster.' } });
  });

  test.each([
    [{ 'x-api-key': 'wrong' }, 401, 'Incorrect API key'],
    [{ 'x-api-key': '' }, 401, 'Empty API key.'],
    [{ 'Content-Type': 'text/plain' }, 415, 'Expected an entity of content type application/json, text/javascript'],
  ])('its server refuses %j in a shape of its own', async (headers, status, message) => {
    await start({ cmapi: true });
    const answer = await ask(double.primary, {
      method: 'PUT',
      path: `${BASE}/cluster/mode-set`,
      body: '{"mode":"readonly"}',
      headers: { ...JSON_TYPE, ...headers },
    });
    expect(answer).toEqual({ status, body: { error: { http_status: expect.stringMatching(`^${status} `), message } } });
    expect(double.state().readOnly).toBe(false);
  });

  test('with set A or B current it finds no journal to hand out, though a load does', async () => {
    await start({ cmapi: true });
    await double.createTable('bt.t');
    double.makeCurrent('A');
    await double.createTable('bt.later');
    const journal = await ask(double.primary, { path: `${BASE}/node/meta/journal` });
    expect(journal).toMatchObject({ status: 500, body: { error: { http_status: '500 Internal Server Error' } } });
    await double.stopEngine('bare');
    await double.primary.run('clearShm');
    const loaded = await double.primary.run('load_brm', [`${double.state().dbrmRoot}A`]);
    expect(loaded.stdout).toBe('OK.\nSuccessfully loaded BRM snapshot\nSuccessfully replayed 1 BRM transactions\n');
    await double.startEngine();
    const session = double.session();
    expect(await session.query('SELECT count(*) FROM bt.later')).toEqual([['0', '0']]);
    session.close();
  });

  test('the first key that it is sent becomes its key', async () => {
    await start({ cmapi: true, apiKey: '' });
    const path = `${BASE}/node/status`;
    expect((await ask(double.primary, { path, headers: { 'x-api-key': 'mine' } })).status).toBe(200);
    expect((await ask(double.primary, { path, headers: { 'x-api-key': 'theirs' } })).status).toBe(401);
    expect(await double.primary.run('dbrmctl', ['status'])).toMatchObject({ stdout: 'OK.\n' });
  });
});

describe('seen on the double only: a controllernode whose lock somebody has', () => {
  const dbrmctl = async (command: string): Promise<string> => (await double.primary.run('dbrmctl', [command])).stdout;

  test.each([
    ['free', false],
    ['unfair', true],
  ] as const)(
    'does later what a dbrmctl had asked for that was given up; answers for its status meanwhile (%s)',
    async (then, readOnly) => {
      await start({});
      double.fault({ slaveLock: 'held' });
      for (const [index, command] of ['readonly', 'readwrite'].entries()) {
        const asking = spawn(join(double.primary.bin, 'dbrmctl'), [command], { stdio: 'ignore' });
        await eventually(() => double.state().queued.length === index + 1);
        asking.kill('SIGKILL');
        await once(asking, 'close');
      }
      expect(await dbrmctl('status')).toBe('OK.\n');
      double.fault({ slaveLock: then });
      expect(double.state()).toMatchObject({ readOnly, queued: [] });
    },
  );
});

describe('seen on the double only: startreadonly', () => {
  const dbrmctl = async (...args: readonly string[]): Promise<string> => (await double.primary.run('dbrmctl', args)).stdout;

  test('is in the usage of a dbrmctl that has it', async () => {
    await start({ generation: '22.08', startreadonly: true });
    const said = await double.primary.run('dbrmctl', ['-h']);
    expect(said).toEqual({
      stdout: '',
      stderr: 'Usage: dbrmctl [-vh] status | halt | resume | readonly | readwrite | reload | startreadonly | forceclearcpimportjobs\n',
      code: 1,
    });
  });

  test('waits for loads, refuses new ones, and flips late: also after a readwrite that came between', async () => {
    await start({ generation: '22.08', startreadonly: true });
    await double.createTable('bt.t');
    const load = await double.load('bt.t');
    expect(await dbrmctl('startreadonly')).toBe('OK.\n');
    expect(await dbrmctl('status')).toBe('OK.\n');
    const late = await double.load('bt.t');
    expect(await late.finish()).toMatchObject({ code: 1 });
    expect(await dbrmctl('readwrite')).toBe('OK.\n');
    expect(await load.finish()).toMatchObject({ code: 0 });
    expect(await dbrmctl('status')).toBe('DBRM is currently Read Only!\n');
  });

  test('a load that was killed keeps it waiting until its job is cleared by force', async () => {
    await start({ generation: '22.08', startreadonly: true });
    await double.createTable('bt.t');
    const load = await double.load('bt.t');
    await dbrmctl('startreadonly');
    await load.kill();
    expect(await dbrmctl('status')).toBe('OK.\n');
    expect(await dbrmctl('forceclearcpimportjobs')).toBe('OK.\n');
    await eventually(async () => (await dbrmctl('status')) === 'DBRM is currently Read Only!\n');
  });
});

describe('seen on the double only: mcsadmin', () => {
  const mcsadmin = async (node: DoubleNode, ...args: readonly string[]): Promise<string> => {
    const { stdout, code } = await node.run('mcsadmin', args);
    expect(code).toBe(0);
    return stdout;
  };

  test('suspended is a state of the system, which a restart keeps', async () => {
    await start({ generation: 'oam', modules: [[1], [2]] });
    const { primary } = double;
    expect(await mcsadmin(primary, 'getSystemStatus')).toMatch(/^System {8}ACTIVE {23}/m);
    expect(await mcsadmin(primary, 'suspendDatabaseWrites', 'y', 'WAIT')).toContain(
      'Suspend MariaDB Columnstore Database Writes Request successfully completed\n',
    );
    expect(await mcsadmin(primary, 'getSystemStatus')).toMatch(/^System {8}ACTIVE WRITE SUSPENDED {7}/m);
    expect(await mcsadmin(primary, 'getProcessStatus')).toMatch(/^DMLProc {13}pm1 {7}WRITE_SUSPEND /m);
    const session = double.session();
    await expect(session.query('CREATE TABLE bt.t (k INT)')).rejects.toThrow('Writing to the database is disabled.');
    session.close();
    expect(await mcsadmin(primary, 'stopSystem', 'y')).toContain('   Successful stop of System \n');
    expect(await mcsadmin(primary, 'startSystem')).toContain('   Successful start of System \n');
    expect(await mcsadmin(primary, 'getSystemStatus')).toMatch(/^System {8}ACTIVE WRITE SUSPENDED/m);
    expect(await mcsadmin(primary, 'resumeDatabaseWrites', 'y')).toContain(
      'Resume MariaDB ColumnStore Database Writes Request successfully completed\n',
    );
    expect(await mcsadmin(primary, 'getSystemStatus')).toMatch(/^System {8}ACTIVE {23}/m);
  });

  test('with a lock it asks, and takes the end of its input for Cancel', async () => {
    await start({ generation: 'oam' });
    await double.createTable('bt.t');
    const session = double.session();
    await session.query('START TRANSACTION');
    await session.query('INSERT INTO bt.t VALUES (1)');
    const said = await mcsadmin(double.primary, 'suspendDatabaseWrites', 'y');
    expect(said).toMatch(
      /The following tables are locked:\n[^\n]*\n.*bt\.t .*\n\nThere are active transactions being processed\nYour options are:\n[\s\S]*\[Cancel\]: $/,
    );
    expect(double.state().suspended).toBe(false);
    session.close();
  });

  test('a wait shows as pending, and a resume calls it off', async () => {
    await start({ generation: 'oam' });
    await double.createTable('bt.t');
    const session = double.session();
    await session.query('START TRANSACTION');
    await session.query('INSERT INTO bt.t VALUES (1)');
    const waiting = mcsadmin(double.primary, 'suspendDatabaseWrites', 'y', 'WAIT');
    await eventually(() => double.state().suspendPending);
    expect(await mcsadmin(double.primary, 'getSystemStatus')).toMatch(/^System {8}ACTIVE WRITE SUSPEND PENDING /m);
    await mcsadmin(double.primary, 'resumeDatabaseWrites', 'y');
    expect(await waiting).toContain('   Suspension of database writes canceled\n');
    expect(double.state()).toMatchObject({ suspended: false, suspendPending: false });
    session.close();
  });

  test('without controllernode it says so; away from the parent module it warns', async () => {
    await start({ generation: '1.4', modules: [[1], [2]] });
    await double.primary.kill('controllernode');
    expect(await mcsadmin(double.primary, 'suspendDatabaseWrites', 'y', 'WAIT')).toContain(
      "   The Controller Node is not responding.\n   The system can't be set into write suspend mode\n",
    );
    const [, second] = double.nodes as readonly [DoubleNode, DoubleNode];
    expect(await mcsadmin(second, 'getSystemStatus')).toContain('WARNING: running on non Parent OAM Module');
  });
});
