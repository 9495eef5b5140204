import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CheckResult, CheckStatus } from '@stillpoint/shared/proto';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { checkMariadb } from '../../packages/agent/src/mariadb/check.ts';
import { describeMariadb } from '../../packages/agent/src/mariadb/facts.ts';
import { openSession } from '../../packages/agent/src/mariadb/session.ts';
import { configuredSettings, runningSettings } from '../../packages/agent/src/mariadb/settings.ts';
import { replaceProgram } from '../harness/gates.ts';
import { startServer, type TestServer, testDirectory } from '../harness/mariadb-server.ts';
import { type TestNode, testNode } from './node.ts';

let server: TestServer;
let node: TestNode;
const realPath = process.env.PATH ?? '';
const cleanups: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  server = await startServer({ name: 'check' });
  await server.sql('CREATE DATABASE stillpoint; CREATE TABLE stillpoint.gate (closed INT) ENGINE=MyISAM');
  node = testNode(server);
});
afterEach(async () => {
  process.env.PATH = realPath;
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});
afterAll(() => server?.remove());

async function another(options: Readonly<Record<string, string>>, serverId = 2): Promise<[TestServer, TestNode]> {
  const other = await startServer({ name: 'other', serverId, options });
  cleanups.push(() => other.remove());
  return [other, testNode(other)];
}

async function check(on: TestNode, purpose: 'backup' | 'restore' = 'backup'): Promise<Map<string, CheckResult>> {
  return new Map((await checkMariadb(on.agent.config, purpose)).map((result) => [result.name, result]));
}

const mariadbOf = ({ agent }: TestNode) => {
  if (agent.config.mariadb === undefined) throw new Error('the node has a server');
  return agent.config.mariadb;
};

test('a sound node passes every check', async () => {
  const results = await check(node);
  expect([...results.keys()]).toEqual([
    'mariadb.tools',
    'mariadb.server',
    'mariadb.version',
    'mariadb.datadir',
    'mariadb.layout',
    'repository.space',
    'mariadb.privileges',
    'mariadb.gate',
    'mariadb.binlog',
    'mariadb.replication',
  ]);
  for (const result of results.values()) expect(result).toMatchObject({ status: CheckStatus.OK, code: '', hint: '' });
});

test('a sound node is described, running and stopped', async () => {
  const running = await describeMariadb(mariadbOf(node));
  const { datadir, port } = server;
  const known = {
    serverId: 1,
    datadir,
    port,
    datadirIsMountPoint: false,
    owner: execFileSync('stat', ['-c', '%U:%G', datadir], { encoding: 'utf8' }).trim(),
  };
  expect(running).toMatchObject({ ...known, running: true, sources: [], position: { logBin: true, gtidSlavePos: '' } });
  expect(running.version).toMatch(/^\d+\.\d+\.\d+-MariaDB/);
  expect(running.backupToolVersion).toMatch(/^\d+\.\d+\.\d+-MariaDB/);
  expect(Number(running.datadirBytes)).toBeGreaterThan(12 * 1024 * 1024);
  await server.stop();
  const stopped = await describeMariadb(mariadbOf(node));
  expect(stopped).toMatchObject({ ...known, running: false, version: running.version });
  expect(stopped.position).toBeUndefined();
  await server.start();
});

test('a stopped server fails a backup and suits a restore', async () => {
  await server.stop();
  expect((await check(node)).get('mariadb.server')).toMatchObject({ status: CheckStatus.FAILED, code: 'SERVER_DOWN' });
  expect((await check(node)).get('mariadb.layout')).toMatchObject({ status: CheckStatus.OK });
  const results = await check(node, 'restore');
  for (const result of results.values()) expect(result).toMatchObject({ status: CheckStatus.OK });
  await server.start();
});

test('a node whose data directory is gone can be described and restored', async () => {
  const [other, gone] = await another({});
  await other.stop();
  renameSync(other.datadir, `${other.datadir}.away`);
  expect(await describeMariadb(mariadbOf(gone))).toMatchObject({ running: false, datadir: other.datadir, datadirBytes: 0n, owner: '' });
  for (const result of (await check(gone, 'restore')).values()) expect(result).toMatchObject({ status: CheckStatus.OK });
});

test('a missing tool is named', async () => {
  const programs = testDirectory('programs');
  symlinkSync(execFileSync('bash', ['-c', 'command -v zstd'], { encoding: 'utf8' }).trim(), join(programs, 'zstd'));
  process.env.PATH = programs;
  const results = await check(node);
  process.env.PATH = realPath;
  expect(results.get('mariadb.tools')).toMatchObject({
    status: CheckStatus.FAILED,
    code: 'TOOL_MISSING',
    message: expect.stringContaining('mariadb-backup'),
  });
});

test('a service that could not be started again matters for a restore', async () => {
  const { config } = node.agent;
  const service = { driver: 'commands' as const, start: ['/no/such/start'], stop: ['true'] };
  const broken = { ...config, mariadb: { ...mariadbOf(node), service } };
  expect((await checkMariadb(config, 'restore')).find(({ name }) => name === 'mariadb.service')).toMatchObject({ status: CheckStatus.OK });
  const results = await checkMariadb(broken, 'restore');
  expect(results.filter(({ status }) => status === CheckStatus.FAILED)).toMatchObject([
    { name: 'mariadb.service', code: 'SERVICE_FAILED', message: expect.stringContaining('/no/such/start') },
  ]);
  expect((await checkMariadb(broken, 'backup')).map(({ name }) => name)).not.toContain('mariadb.service');
});

test.each([
  ['mariadb-backup based on MariaDB server 11.4.2-MariaDB Linux (x86_64)', CheckStatus.FAILED, 'TOOL_MISMATCH'],
  ['mariadb-backup based on MariaDB server 10.11.1-MariaDB Linux (x86_64)', CheckStatus.WARNING, ''],
])('%s', async (version, status, code) => {
  const programs = testDirectory('programs');
  replaceProgram(programs, 'mariadb-backup', `echo '${version}' >&2`);
  process.env.PATH = `${programs}:${realPath}`;
  const result = (await check(node)).get('mariadb.version');
  expect(result).toMatchObject({ status, code });
});

test('files outside of the data directory are refused, each by name', async () => {
  const elsewhere = testDirectory('elsewhere');
  execFileSync('chown', ['--reference', server.datadir, elsewhere]);
  const [other, odd] = await another({ innodb_undo_directory: elsewhere });
  await other.sql(`CREATE DATABASE d; CREATE TABLE d.t (id INT) ENGINE=InnoDB DATA DIRECTORY='${elsewhere}'`);
  const layout = (await check(odd)).get('mariadb.layout');
  expect(layout).toMatchObject({ status: CheckStatus.FAILED, code: 'LAYOUT_UNSUPPORTED' });
  expect(layout?.message).toContain(`innodb_undo_directory is ${elsewhere}`);
  expect(layout?.message).toContain('d/t.isl');
});

test('a server without a binary log is worth a warning', async () => {
  const [, odd] = await another({ skip_log_bin: '' });
  expect((await check(odd)).get('mariadb.binlog')).toMatchObject({ status: CheckStatus.WARNING, code: '' });
});

test('replication that failed or does without GTID is worth a warning', async () => {
  const [other, odd] = await another({});
  await other.sql(`CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=${server.port}, MASTER_USER='nobody', MASTER_USE_GTID=no`);
  const result = (await check(odd)).get('mariadb.replication');
  expect(result).toMatchObject({ status: CheckStatus.WARNING });
  expect(result?.message).toContain('does not run');
  expect(result?.message).toContain('does not use GTID');
  expect(await describeMariadb(mariadbOf(odd))).toMatchObject({
    sources: [{ host: '127.0.0.1', port: server.port, running: false, usingGtid: 'No' }],
  });
});

test('settings are the same from the running server and from its option file', async () => {
  const outside = testDirectory('logs');
  execFileSync('chown', ['--reference', server.datadir, outside]);
  const variants: Record<string, string>[] = [
    {},
    { log_bin: '' },
    { skip_log_bin: '' },
    { log_bin: join(outside, 'binary'), log_bin_index: join(outside, 'index'), 'pid-file': 'x.pid', relay_log: 'relay' },
  ];
  for (const options of variants) {
    const [other] = await another(options);
    const session = await openSession({ socket: other.socket, user: 'root' });
    const running = await runningSettings(session);
    await session.close();
    expect(await configuredSettings(other.defaultsFile)).toEqual({ ...running, running: false });
    await other.remove();
  }
});

test('an option file that the server does not understand, or that is missing, is named', async () => {
  const directory = testDirectory('bad');
  mkdirSync(join(directory, 'data'));
  const file = join(directory, 'my.cnf');
  await expect(configuredSettings(file)).rejects.toMatchObject({ code: 'CONFIG_FILE_UNREADABLE', message: expect.stringContaining(file) });
  writeFileSync(file, `[mariadbd]\ndatadir=${directory}/data\nno_such_option=1\n`);
  await expect(configuredSettings(file)).rejects.toMatchObject({
    code: 'CONFIG_FILE_UNREADABLE',
    message: expect.stringContaining('no_such_option'),
  });
});

test('a repository without enough space is refused', async ({ skip }) => {
  if (process.getuid?.() !== 0) skip('only root may mount a small file system');
  const small = testDirectory('small');
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', small]);
  cleanups.push(async () => execFileSync('umount', ['-l', small]));
  expect((await check(testNode(server, { repository: small }))).get('repository.space')).toMatchObject({
    status: CheckStatus.FAILED,
    code: 'SPACE_SHORT',
  });
});

test('a data directory that is a mount point is found to be one, and is fit for a restore', async ({ skip }) => {
  if (process.getuid?.() !== 0) skip('only root may mount');
  const [other, odd] = await another({});
  await other.stop();
  execFileSync('mount', ['--bind', other.datadir, other.datadir]);
  cleanups.push(async () => execFileSync('umount', ['-l', other.datadir]));
  expect((await check(odd, 'restore')).get('mariadb.datadir')).toMatchObject({
    status: CheckStatus.OK,
    message: expect.stringContaining('a mount point'),
  });
  expect(await describeMariadb(mariadbOf(odd))).toMatchObject({ datadirIsMountPoint: true });
});
