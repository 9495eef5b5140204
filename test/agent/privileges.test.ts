import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { CaptureTaskSchema, CheckStatus, PublishTaskSchema } from '@stillpoint/shared/proto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { captureTask, publishTask } from '../../packages/agent/src/capture/index.ts';
import { checkMariadb } from '../../packages/agent/src/mariadb/check.ts';
import { describeMariadb } from '../../packages/agent/src/mariadb/facts.ts';
import { acquireLock } from '../../packages/agent/src/mariadb/lock.ts';
import { grantsSql, NEEDED_PRIVILEGES } from '../../packages/agent/src/mariadb/privileges.ts';
import { followSource, setGtidPosition } from '../../packages/agent/src/mariadb/replication.ts';
import { accountOf, openSession } from '../../packages/agent/src/mariadb/session.ts';
import { startServer, type TestServer } from '../harness/mariadb-server.ts';
import { failureOf, SET, type TestNode, testNode, testTask } from './node.ts';

let server: TestServer;
let node: TestNode;
let passwordFile: string;
const PASSWORD = 'p#1 "quoted"';

beforeAll(async () => {
  server = await startServer({ name: 'privileges' });
  await server.sql('CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY); INSERT INTO shop.t VALUES (1)');
  passwordFile = join(server.directory, 'password');
  writeFileSync(passwordFile, `${PASSWORD}\n`, { mode: 0o600 });
  node = testNode(server, { user: 'stillpoint', passwordFile });
});
afterAll(() => server?.remove());

/** The account as the printed SQL makes it, without some of its grants. */
async function account(without: readonly string[] = []): Promise<void> {
  const lines = grantsSql({ user: 'stillpoint' }).filter((line) => !without.some((name) => line.startsWith(`GRANT ${name} ON`)));
  await server.sql(`DROP USER IF EXISTS stillpoint@localhost; ${lines.join('\n').replace('<password>', PASSWORD)}`);
}

const check = async (name: string, purpose: 'backup' | 'restore' = 'backup') =>
  (await checkMariadb(node.agent.config, purpose)).find((result) => result.name === name);

const capture = () => captureTask.run(node.agent, create(CaptureTaskSchema, { setId: SET }), testTask('capture'));

describe('the account that the printed SQL makes', () => {
  test('can do a whole backup, with checksums, and replicate', async () => {
    await account();
    for (const purpose of ['backup', 'restore'] as const)
      expect(await check('mariadb.privileges', purpose)).toMatchObject({ status: CheckStatus.OK });
    const hold = await node.hold();
    await capture();
    await hold.release();
    const published = await publishTask.run(node.agent, create(PublishTaskSchema, { setId: SET }), testTask('publish'));
    const manifest = published.result?.case === 'publish' ? Buffer.from(published.result.value.manifest ?? []).toString() : '';
    expect(JSON.parse(manifest)).toMatchObject({ checksums: [{ database: 'shop', table: 't' }], unproven: [] });
    expect(manifest).not.toContain('quoted');
    const session = await openSession({ socket: server.socket, user: 'stillpoint', password: PASSWORD });
    await setGtidPosition(session, '0-9-100000');
    await followSource(session, { host: '127.0.0.1', port: 1, user: 'x', password: 'y' });
    await session.close();
    await server.sql('STOP SLAVE; RESET SLAVE ALL');
  });

  test('names every blocker it can see', async () => {
    await account();
    const busy = await server.root();
    busy.on('error', () => undefined);
    await busy.query('LOCK TABLES shop.t WRITE');
    const { clock, config } = node.agent;
    if (config.mariadb === undefined) throw new Error('the node has a server');
    const attempt = acquireLock(accountOf(config.mariadb), { timeoutMs: 300, leaseMs: 5_000, clock, signal: new AbortController().signal });
    expect((await failureOf(attempt)).blockers).toContainEqual(expect.objectContaining({ connectionId: busy.threadId }));
    await busy.end();
  });
});

describe.each(NEEDED_PRIVILEGES.filter(({ purposes }) => purposes.includes('backup')))('without $name', ({ name, optional, what }) => {
  beforeAll(() => account([name]));

  test('the check names it and what it is for', async () => {
    const result = await check('mariadb.privileges');
    expect(result?.message).toContain(`lacks ${name} (needed ${what})`);
    if (optional) expect(result?.status).toBe(CheckStatus.WARNING);
    else expect(result).toMatchObject({ status: CheckStatus.FAILED, code: 'PRIVILEGE_MISSING' });
    expect(result?.hint).toContain('stillpoint agent grants');
  });

  test('it is really needed', async () => {
    const attempt = node.hold().then(async (hold) => {
      try {
        await capture();
        const sums = await hold.snapshots?.sum(new AbortController().signal);
        if (sums?.checksums.length === 0) throw new Error('nothing could be summed');
      } finally {
        await hold.release();
        await hold.snapshots?.close();
      }
    });
    await expect(attempt).rejects.toThrow();
  });

  test('the node can still be described', async () => {
    const { mariadb } = node.agent.config;
    if (mariadb === undefined) throw new Error('the node has a server');
    expect(await describeMariadb(mariadb)).toMatchObject({ running: true, serverId: 1 });
  });
});

test('REPLICATION SLAVE ADMIN is missed for a restore only', async () => {
  await account(['REPLICATION SLAVE ADMIN']);
  expect(await check('mariadb.privileges', 'backup')).toMatchObject({ status: CheckStatus.OK });
  expect(await check('mariadb.privileges', 'restore')).toMatchObject({
    status: CheckStatus.FAILED,
    message: expect.stringContaining('REPLICATION SLAVE ADMIN'),
  });
});

test('privileges that come by an active role count, by an inactive one do not', async () => {
  const names = NEEDED_PRIVILEGES.map(({ name }) => name);
  await account(names);
  await server.sql(`CREATE OR REPLACE ROLE keeper; GRANT ${names.join(', ')} ON *.* TO keeper; GRANT keeper TO stillpoint@localhost`);
  expect(await check('mariadb.privileges')).toMatchObject({ status: CheckStatus.FAILED });
  await server.sql('SET DEFAULT ROLE keeper FOR stillpoint@localhost');
  expect(await check('mariadb.privileges')).toMatchObject({ status: CheckStatus.OK });
});

test('a wrong password is told as such, and not shown', async () => {
  await account();
  await server.sql("SET PASSWORD FOR stillpoint@localhost = PASSWORD('another')");
  const result = await check('mariadb.server');
  expect(result).toMatchObject({ status: CheckStatus.FAILED, code: 'ACCESS_DENIED' });
  expect(result?.message).toContain('stillpoint');
  expect(result?.message).not.toContain('quoted');
  expect(await failureOf(node.hold())).toMatchObject({ code: 'ACCESS_DENIED' });
});
