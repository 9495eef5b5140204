import { systemClock } from '@stillpoint/shared/time';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { Sums } from '../../packages/agent/src/mariadb/checksums.ts';
import { acquireLock } from '../../packages/agent/src/mariadb/lock.ts';
import { openSnapshots, type Snapshots } from '../../packages/agent/src/mariadb/snapshots.ts';
import type { TableSelection } from '../../packages/agent/src/mariadb/tables.ts';
import { eventually } from '../harness/eventually.ts';
import { startServer, type TestServer } from '../harness/mariadb-server.ts';

let server: TestServer;
const { signal } = new AbortController();
const open = new Set<Snapshots>();

beforeAll(async () => {
  server = await startServer({ name: 'snapshots' });
});
afterEach(async () => {
  for (const snapshots of open) await snapshots.close();
  open.clear();
  await server.sql('DROP DATABASE IF EXISTS d; DROP DATABASE IF EXISTS e');
});
afterAll(() => server?.remove());

/** What the cut looked like by CHECKSUM under the lock, and snapshots opened under it. */
async function cut(selection: Partial<TableSelection> = {}): Promise<Snapshots> {
  const account = { socket: server.socket, user: 'root' };
  const lock = await acquireLock(account, { timeoutMs: 5_000, leaseMs: 10_000, clock: systemClock, signal });
  try {
    const snapshots = await openSnapshots(account, { include: [], exclude: [], connections: 0, signal, ...selection });
    open.add(snapshots);
    return snapshots;
  } finally {
    await lock.release();
  }
}

const tables = (names: string[]): string =>
  names
    .map((name) => `CREATE TABLE d.${name} (id INT PRIMARY KEY, v VARCHAR(20)) ENGINE=InnoDB; INSERT INTO d.${name} VALUES (1, '${name}');`)
    .join('');

const sumOf = async (table: string): Promise<string> => String((await server.sql(`CHECKSUM TABLE d.${table} EXTENDED`))[0]?.Checksum);
const proven = (sums: Sums): string[] => sums.checksums.map(({ table }) => table);
const reason = (sums: Sums, table: string): string | undefined => sums.unproven.find((one) => one.table === table)?.reason;

test('tables are summed as they were at the cut, whatever is written afterwards', async () => {
  await server.sql(`CREATE DATABASE d; ${tables(['a', 'b', 'c'])}`);
  const before = await Promise.all(['a', 'b', 'c'].map(sumOf));
  const snapshots = await cut();
  await server.sql("INSERT INTO d.a VALUES (2, 'x'); DELETE FROM d.b; UPDATE d.c SET v = 'y'");
  const seen: [number, number][] = [];
  const sums = await snapshots.sum(signal, (done, total) => seen.push([done, total]));
  expect(sums.unproven).toEqual([]);
  expect(sums.checksums.map(({ checksum }) => checksum)).toEqual(before);
  expect(sums.checksums[0]).toMatchObject({ database: 'd', table: 'a', engine: 'InnoDB' });
  expect(seen.at(-1)?.[0]).toBe(seen.at(-1)?.[1]);
  expect(await sumOf('a')).not.toBe(before[0]);
});

test('a table whose definition changed after the cut is left unproven, also where a snapshot would not notice', async () => {
  await server.sql(
    `CREATE DATABASE d; ${tables(['same', 'added', 'copied', 'emptied', 'dropped', 'made_anew', 'left', 'right_', 'nullable'])}`,
  );
  const snapshots = await cut();
  await server.sql(`
    ALTER TABLE d.added ADD COLUMN z INT DEFAULT 5, ALGORITHM=INSTANT;
    ALTER TABLE d.copied ADD COLUMN z INT, ALGORITHM=COPY;
    TRUNCATE d.emptied;
    DROP TABLE d.dropped;
    DROP TABLE d.made_anew; CREATE TABLE d.made_anew (id INT PRIMARY KEY, v VARCHAR(20));
    RENAME TABLE d.left TO d.swap, d.right_ TO d.left, d.swap TO d.right_;
    ALTER TABLE d.nullable MODIFY v VARCHAR(20) NOT NULL DEFAULT ''`);
  const sums = await snapshots.sum(signal);
  expect(proven(sums)).toEqual(['same']);
  expect(reason(sums, 'dropped')).toMatch(/dropped/);
  for (const table of ['added', 'copied', 'emptied', 'made_anew', 'left', 'right_', 'nullable'])
    expect(reason(sums, table)).toMatch(/altered|truncated|renamed/);
});

test('engines without snapshots are summed under the lock, but only as long as that is short', async () => {
  await server.sql(`CREATE DATABASE d;
    CREATE TABLE d.aria (id INT) ENGINE=Aria; INSERT INTO d.aria VALUES (1);
    CREATE TABLE d.myisam (id INT) ENGINE=MyISAM; INSERT INTO d.myisam VALUES (1);
    CREATE TABLE d.csv (id INT NOT NULL) ENGINE=CSV; INSERT INTO d.csv VALUES (1);
    CREATE TABLE d.memory (id INT) ENGINE=MEMORY;
    CREATE TABLE d.large (v VARBINARY(8000)) ENGINE=MyISAM; INSERT INTO d.large SELECT REPEAT('x', 8000) FROM d.seq_1_to_2500;
    CREATE SEQUENCE d.numbers; SELECT NEXTVAL(d.numbers);
    CREATE VIEW d.view AS SELECT 1`);
  const before = await sumOf('myisam');
  const snapshots = await cut();
  await server.sql('INSERT INTO d.aria VALUES (2); INSERT INTO d.myisam VALUES (2); INSERT INTO d.csv VALUES (2)');
  const sums = await snapshots.sum(signal);
  expect(proven(sums)).toEqual(['aria', 'csv', 'myisam', 'numbers']);
  expect(sums.checksums.find(({ table }) => table === 'myisam')?.checksum).toBe(before);
  expect(sums.checksums.find(({ table }) => table === 'numbers')?.engine).toBe('SEQUENCE');
  expect(reason(sums, 'memory')).toMatch(/MEMORY/);
  expect(reason(sums, 'large')).toMatch(/too large/);
});

test('patterns select, and odd names are no obstacle', async () => {
  await server.sql(`CREATE DATABASE d; CREATE DATABASE e; ${tables(['one', 'two', '`o``dd n.ame ü`', 'aux'])} CREATE TABLE e.one (id INT)`);
  const sums = await (await cut({ include: ['d'], exclude: ['*.two'] })).sum(signal);
  expect(sums.unproven).toEqual([]);
  expect(proven(sums).sort()).toEqual(['aux', 'o`dd n.ame ü', 'one'].sort());
});

test('without patterns the server’s own tables are left out', async () => {
  const snapshots = await cut();
  expect(snapshots.tables).toBe(0);
  expect(await snapshots.sum(signal)).toEqual({ checksums: [], unproven: [] });
});

test('a lost snapshot leaves its tables unproven and says why', async () => {
  await server.sql(`CREATE DATABASE d; ${tables(['a', 'b'])}`);
  const snapshots = await cut();
  const ids = await server.sql("SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND user = 'root'");
  for (const row of ids) await server.sql(`KILL ${row.id}`);
  const sums = await snapshots.sum(signal);
  expect(sums.checksums).toEqual([]);
  expect(sums.unproven.map((one) => one.reason)).toEqual(Array(2).fill('the connection with its snapshot was lost'));
});

test('nothing stays open on the server, neither after the sum nor after close', async () => {
  await server.sql(`CREATE DATABASE d; ${tables(['a'])}`);
  const connections = async () =>
    (await server.sql("SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND user = 'root'")).length;
  await (await cut()).sum(signal);
  await eventually(async () => (await connections()) === 0);
  const unused = await cut();
  await unused.close();
  await unused.close();
  await eventually(async () => (await connections()) === 0);
});

test('an abort ends summing with its reason', async () => {
  await server.sql(`CREATE DATABASE d; ${tables(['a'])}`);
  const snapshots = await cut();
  await expect(snapshots.sum(AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough');
});
