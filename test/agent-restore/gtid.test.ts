import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { agentConfigSchema } from '../../packages/agent/src/config/schema.ts';
import { eventually } from '../harness/eventually.ts';
import { agentOf, type Rig, startRig, type TakenPart, takePart } from './rig.ts';
import { tasksOf } from './tasks.ts';

let primary: Rig;
let replica: Rig;
let part: TakenPart;
let position: string;
const PASSWORD = 'kA7-replication-secret';

/** A primary with transactions in two domains, and a second server with another server_id that will be seeded from its part. */
beforeAll(async () => {
  primary = await startRig({ node: 'db1' });
  replica = withReplicationAccount(await startRig({ node: 'db2', server: { serverId: 2 } }), PASSWORD);
  await primary.server.sql(`
    CREATE DATABASE a; CREATE TABLE a.t (i INT PRIMARY KEY) ENGINE=InnoDB; INSERT INTO a.t VALUES (1), (2);
    CREATE USER repl@'%' IDENTIFIED BY '${PASSWORD}'; GRANT REPLICATION SLAVE ON *.* TO repl@'%';
    SET SESSION gtid_domain_id = 7; INSERT INTO a.t VALUES (70); INSERT INTO a.t VALUES (71);`);
  part = await takePart(primary);
  position = part.part.mariadb?.position.gtidBinlogPos ?? '';
  await primary.server.sql('INSERT INTO a.t VALUES (1000)');
  for (const rig of [primary, replica]) {
    const restore = tasksOf(rig, 'restore-1');
    await restore.stage(part, { sourceNode: 'db1' });
    await restore.stop();
    await restore.doSwitch();
    await restore.start();
  }
});
afterAll(() => Promise.all([primary.server.remove(), replica.server.remove()]));

/** Its part lies in the repository of the primary, which both may read here. */
function withReplicationAccount(rig: Rig, password: string): Rig {
  const passwordFile = join(rig.home, `password-${password.length}`);
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
  const config = agentConfigSchema.parse({
    ...rig.config,
    stopGrace: '10s',
    repository: primary.config.repository,
    mariadb: { ...rig.config.mariadb, replication: { user: 'repl', passwordFile } },
  });
  return { ...rig, config, agent: agentOf(config) };
}

const rows = async ({ server }: Rig): Promise<number[]> => (await server.sql('SELECT i FROM a.t ORDER BY i')).map(({ i }) => Number(i));
const gtid = async ({ server }: Rig, name: string): Promise<string> => String((await server.sql(`SELECT @@${name} AS p`))[0]?.p);

test('both servers stand at the cut, with empty logs', async () => {
  expect(position.split(',').map((each) => each.split('-')[0])).toEqual(['0', '7']);
  for (const rig of [primary, replica]) {
    expect(await rows(rig)).toEqual([1, 2, 70, 71]);
    expect(await gtid(rig, 'gtid_binlog_pos')).toBe('');
    expect(await gtid(rig, 'gtid_slave_pos')).toBe(position);
  }
});

test('a wrong password is told as that, without the password', async () => {
  const wrong = withReplicationAccount(replica, 'not-the-password');
  const run = tasksOf(wrong, 'restore-1').replicate('127.0.0.1', primary.server.port, position, 2_000);
  const error = await run.catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: 'REPLICATION_FAILED', message: expect.stringContaining('Access denied') });
  expect(JSON.stringify([error, (error as Error).stack])).not.toContain('not-the-password');
  await replica.server.sql('STOP SLAVE; RESET SLAVE ALL');
});

test('a server that stands elsewhere is not made a replica', async () => {
  const run = tasksOf(replica, 'restore-1').replicate('127.0.0.1', primary.server.port, '0-1-1', 2_000);
  await expect(run).rejects.toMatchObject({ code: 'REPLICATION_FAILED', message: expect.stringContaining('stands at GTID') });
});

test('the replica connects although the primary has written nothing since, and follows what it writes in every domain', async () => {
  const done = await tasksOf(replica, 'restore-1').replicate('127.0.0.1', primary.server.port, position);
  expect(done.result).toMatchObject({ case: 'replicate', value: { source: { host: '127.0.0.1', running: true, usingGtid: 'Slave_Pos' } } });
  await primary.server.sql('INSERT INTO a.t VALUES (3); SET SESSION gtid_domain_id = 7; INSERT INTO a.t VALUES (72)');
  const next = position
    .split(',')
    .map((each) => each.replace(/\d+$/, (sequence) => String(Number(sequence) + 1)))
    .join(',');
  expect(await gtid(primary, 'gtid_binlog_pos')).toBe(next);
  await eventually(async () => (await gtid(replica, 'gtid_slave_pos')) === next);
  expect(await rows(replica)).toEqual([1, 2, 3, 70, 71, 72]);
});

test('it survives restarts of both, and a run that was interrupted is gone on with', async () => {
  await primary.server.stop();
  await replica.server.stop();
  await primary.server.start();
  await primary.server.sql('INSERT INTO a.t VALUES (4); FLUSH BINARY LOGS; INSERT INTO a.t VALUES (5)');
  await replica.server.start();
  await replica.server.sql('STOP SLAVE');
  await tasksOf(replica, 'restore-1').replicate('127.0.0.1', primary.server.port, position);
  await eventually(async () => (await rows(replica)).includes(5));
  expect(await gtid(replica, 'gtid_slave_pos')).toBe(await gtid(primary, 'gtid_binlog_pos'));
});

test('a replica that is restored later than the primary has gone on still catches up from the cut', async () => {
  const restore = tasksOf(replica, 'restore-2');
  await tasksOf(replica, 'restore-1').finish();
  await restore.stage(part, { sourceNode: 'db1' });
  await restore.stop();
  await restore.doSwitch();
  await restore.start();
  expect(await rows(replica)).toEqual([1, 2, 70, 71]);
  await restore.replicate('127.0.0.1', primary.server.port, position);
  await eventually(async () => (await rows(replica)).includes(5));
});

test('a server of which no account is configured names the setting', async () => {
  const run = tasksOf(primary, 'restore-1').replicate('127.0.0.1', 1, position);
  await expect(run).rejects.toMatchObject({ code: 'CONFIG_INVALID', hint: expect.stringContaining('mariadb.replication') });
});
