import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CheckStatus } from '@stillpoint/shared/proto';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { checkMariadb } from '../../packages/agent/src/mariadb/check.ts';
import { describeMariadb } from '../../packages/agent/src/mariadb/facts.ts';
import { grantsSql } from '../../packages/agent/src/mariadb/privileges.ts';
import { startServer, type TestServer } from '../harness/mariadb-server.ts';
import { precopy } from './gate-rig.ts';
import { failureOf, OPERATION, type TestNode, testNode } from './node.ts';

let server: TestServer;
let node: TestNode;

beforeAll(async () => {
  server = await startServer({ name: 'obstacle' });
  const passwordFile = join(server.directory, 'password');
  writeFileSync(passwordFile, 'pass\n', { mode: 0o600 });
  node = testNode(server, { user: 'stillpoint', passwordFile });
});
beforeEach(async () => {
  await server.sql('SET GLOBAL read_only = 0; DROP USER IF EXISTS stillpoint@localhost; DROP DATABASE IF EXISTS stillpoint');
  await server.sql(grantsSql({ user: 'stillpoint' }).join('\n').replace('<password>', 'pass'));
});
afterAll(() => server?.remove());

const told = async (on = node): Promise<string> => {
  const { mariadb } = on.agent.config;
  if (mariadb === undefined) throw new Error('the node has a server');
  return (await describeMariadb(mariadb)).gateObstacle;
};
const check = async () => (await checkMariadb(node.agent.config, 'backup')).find(({ name }) => name === 'mariadb.gate');

test('there is none after the printed SQL, also on a server that is read_only', async () => {
  expect(await told()).toBe('');
  await server.sql('SET GLOBAL read_only = 1');
  expect(await told()).toBe('');
  expect(await check()).toMatchObject({ status: CheckStatus.OK });
  await precopy(node);
  await node.agent.captures.forget(OPERATION);
});

test.each([
  [1, /of the data$/],
  [2, /up to 1 s until the redo log is flushed \(innodb_flush_log_at_trx_commit is 2\)/],
])('the check tells whether writers wait for the redo log: innodb_flush_log_at_trx_commit = %i', async (value, message) => {
  await server.sql(`SET GLOBAL innodb_flush_log_at_trx_commit = ${value}`);
  expect((await check())?.message).toMatch(message);
});

test.each([
  ['the table', 'DROP TABLE stillpoint.gate', 'no table'],
  ['the database', 'DROP DATABASE stillpoint', 'no table'],
  ['the right to lock it', 'REVOKE LOCK TABLES ON stillpoint.* FROM stillpoint@localhost', 'lacks LOCK TABLES on stillpoint.*'],
  [
    'the right to do so on a read_only server',
    'REVOKE READ ONLY ADMIN ON *.* FROM stillpoint@localhost; SET GLOBAL read_only = 1',
    'READ ONLY ADMIN',
  ],
])('without %s it is named, with the SQL to run, and really there', async (_, statement, message) => {
  await server.sql(statement);
  expect(await told()).toContain(message);
  const result = await check();
  expect(result).toMatchObject({ status: CheckStatus.WARNING, message: expect.stringContaining(message) });
  expect(result?.hint).toContain('stillpoint agent grants');
  expect((await failureOf(precopy(node))).code).toMatch(/^(PRIVILEGE_MISSING|CHECK_FAILED)$/);
});

test('a table whose lock would keep tables from being changed is none', async () => {
  await server.sql('ALTER TABLE stillpoint.gate ENGINE=InnoDB');
  expect(await told()).toContain('is of InnoDB');
  await server.sql('ALTER TABLE stillpoint.gate ENGINE=Aria TRANSACTIONAL=0');
  expect(await told()).toBe('');
});

test('a server without a binary log has none that could be proven by it', async () => {
  const plain = await startServer({ name: 'plain', options: { skip_log_bin: '' } });
  expect(await told(testNode(plain))).toContain('no binary log');
  await plain.remove();
});

test('a server that is down has one', async () => {
  await server.stop();
  expect(await told()).not.toBe('');
  await server.start();
});
