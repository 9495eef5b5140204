import { once } from 'node:events';
import type { StillpointError } from '@stillpoint/shared/errors';
import { systemClock } from '@stillpoint/shared/time';
import type { Connection } from 'mysql2/promise';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { acquireLock, type LockOptions, type ServerLock } from '../../packages/agent/src/mariadb/lock.ts';
import type { Account } from '../../packages/agent/src/mariadb/session.ts';
import { eventually } from '../harness/eventually.ts';
import { startServer, type TestServer } from '../harness/mariadb-server.ts';

let server: TestServer;
let account: Account;
const cleanups: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  server = await startServer({ name: 'lock' });
  account = { socket: server.socket, user: 'root' };
  await server.sql(`
    CREATE DATABASE d;
    CREATE TABLE d.t (id INT AUTO_INCREMENT PRIMARY KEY, v INT) ENGINE=InnoDB;
    INSERT INTO d.t (v) VALUES (1), (2), (3);
    CREATE TABLE d.big (id INT AUTO_INCREMENT PRIMARY KEY, v CHAR(200) NOT NULL DEFAULT 'x') ENGINE=InnoDB;
    INSERT INTO d.big (v) SELECT seq FROM d.seq_1_to_1000`);
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});
afterAll(() => server?.remove());

const options = (over: Partial<LockOptions> = {}): LockOptions => ({
  timeoutMs: 400,
  leaseMs: 10_000,
  clock: systemClock,
  signal: new AbortController().signal,
  ...over,
});

async function locked(over: Partial<LockOptions> = {}): Promise<ServerLock> {
  const lock = await acquireLock(account, options(over));
  cleanups.push(() => lock.release());
  return lock;
}

async function client(): Promise<Connection> {
  const connection = await server.root();
  connection.on('error', () => undefined);
  // A statement goes on when only its client has gone.
  cleanups.push(() => server.sql(`KILL ${connection.threadId}`).catch(() => undefined));
  return connection;
}

/** A statement that runs until its connection goes. */
async function busy(sql: string): Promise<number> {
  const connection = await client();
  connection.query(sql).catch(() => undefined);
  await eventually(async () => (await processes(`id = ${connection.threadId} AND command = 'Query'`)) > 0);
  return connection.threadId;
}

const processes = async (where: string): Promise<number> =>
  Number((await server.sql(`SELECT COUNT(*) AS n FROM information_schema.processlist WHERE ${where}`))[0]?.n);

const nothingLocks = async (): Promise<void> => {
  await eventually(
    async () => (await processes(`id <> CONNECTION_ID() AND (info LIKE '%READ LOCK%' OR state LIKE '%backup lock%')`)) === 0,
  );
  await server.sql('INSERT INTO d.t (v) VALUES (4)');
};

const failureOf = (promise: Promise<unknown>): Promise<StillpointError> =>
  promise.then(
    () => {
      throw new Error('it did not fail');
    },
    (error: unknown) => error as StillpointError,
  );

test('writers wait under the lock and go on after it; the position stands still meanwhile', async () => {
  const lock = await locked();
  const writer = await client();
  const write = writer.query('INSERT INTO d.t (v) VALUES (10)');
  await eventually(async () => (await processes(`id = ${writer.threadId} AND state = 'Waiting for backup lock'`)) === 1);
  expect(await lock.attest()).toEqual(lock.position);
  expect(lock.position.file).toMatch(/^bin\.\d{6}$/);
  expect(lock.position.gtidBinlogPos).toMatch(/^0-1-\d+$/);
  expect(lock.lost.aborted).toBe(false);
  await lock.release();
  await write;
  expect(lock.lost.aborted).toBe(false);
  await nothingLocks();
});

const blockers: [name: string, arrange: () => Promise<number>, statement: RegExp, mode: RegExp][] = [
  ['a running UPDATE', () => busy('UPDATE d.t SET v = v + SLEEP(60) WHERE id = 1'), /^UPDATE d\.t SET v/, /^MDL_BACKUP_(TRANS_)?DML$/],
  [
    'an ALTER that waits for a transaction',
    async () => {
      await (await client()).query('BEGIN; SELECT * FROM d.big LIMIT 1');
      return busy('ALTER TABLE d.big ADD COLUMN w INT');
    },
    /^ALTER TABLE d\.big ADD COLUMN w INT$/,
    /^MDL_BACKUP_/,
  ],
  [
    'an idle LOCK TABLES WRITE',
    async () => {
      const connection = await client();
      await connection.query('LOCK TABLES d.t WRITE');
      return connection.threadId;
    },
    /^$|may hold LOCK TABLES on d\.t/,
    /^MDL_BACKUP_DDL$/,
  ],
  [
    'LOCK TABLES WRITE of a session that reads since',
    () => busy('LOCK TABLES d.t WRITE; SELECT SLEEP(60)'),
    /^SELECT SLEEP\(60\)($| \(it may hold LOCK TABLES on d\.t\))/,
    /^MDL_BACKUP_DDL$/,
  ],
];

describe.each([
  ['metadata_lock_info', "INSTALL SONAME 'metadata_lock_info'", true],
  ['the process list only', "UNINSTALL SONAME 'metadata_lock_info'", false],
] as const)('with %s', (_, prepare, exact) => {
  beforeAll(() => server.sql(prepare));

  test.each(blockers)('%s is named, everything is released, and writers go on', async (_name, arrange, statement, mode) => {
    const id = await arrange();
    const error = await failureOf(acquireLock(account, options()));
    expect(error.code).toBe('LOCK_TIMEOUT');
    const blocker = error.blockers.find(({ connectionId }) => connectionId === id);
    expect(blocker).toMatchObject({ user: 'root', host: 'localhost' });
    expect(blocker?.statement).toMatch(statement);
    expect(blocker?.lockMode).toMatch(exact ? mode : /^$/);
    if (exact) expect(error.blockers).toHaveLength(1);
    await server.sql(`KILL ${id}`);
    await nothingLocks();
  });
});

test('a wait too short to find out who is in the way speaks of no named sessions', async () => {
  await busy('UPDATE d.t SET v = v + SLEEP(60) WHERE id = 1');
  const error = await failureOf(acquireLock(account, options({ timeoutMs: 1 })));
  expect(error).toMatchObject({ code: 'LOCK_TIMEOUT', blockers: [], hint: expect.stringContaining("INSTALL SONAME 'metadata_lock_info'") });
  expect(error.hint).not.toContain('named');
});

test('writers do not stay stalled behind a lock that was given up', async () => {
  await busy('UPDATE d.t SET v = v + SLEEP(60) WHERE id = 1');
  const attempt = failureOf(acquireLock(account, options({ timeoutMs: 2_000 })));
  const writer = await client();
  await eventually(async () => (await processes(`info LIKE '%READ LOCK%' AND state = 'Waiting for backup lock'`)) === 1);
  const write = writer.query('INSERT INTO d.t (v) VALUES (11)');
  await eventually(async () => (await processes(`id = ${writer.threadId} AND state = 'Waiting for backup lock'`)) === 1);
  await attempt;
  await write;
});

test('an abort while waiting leaves nothing pending and gives its reason', async () => {
  await busy('UPDATE d.t SET v = v + SLEEP(60) WHERE id = 1');
  const abort = new AbortController();
  const attempt = failureOf(acquireLock(account, options({ timeoutMs: 60_000, signal: abort.signal })));
  await eventually(async () => (await processes(`info LIKE '%READ LOCK%'`)) > 0);
  abort.abort(new Error('enough'));
  expect((await attempt).message).toBe('enough');
  expect(await processes(`info LIKE '%READ LOCK%' AND id <> CONNECTION_ID()`)).toBe(0);
  await nothingLocks();
});

test('a killed holder is noticed at once, and not taken for a release', async () => {
  const lock = await locked();
  const lost = once(lock.lost, 'abort');
  await server.sql(`KILL ${lock.connectionId}`);
  await lost;
  expect(lock.lost.reason).toMatchObject({ code: 'HOLD_LOST' });
  expect(await failureOf(lock.attest())).toMatchObject({ code: 'HOLD_LOST' });
  expect(await failureOf(lock.ping())).toMatchObject({ code: 'HOLD_LOST' });
  await nothingLocks();
});

test('a server that dies loses the lock', async () => {
  const lock = await locked();
  const lost = once(lock.lost, 'abort');
  await server.kill('SIGKILL');
  await lost;
  expect(lock.lost.reason).toMatchObject({ code: 'HOLD_LOST' });
  await server.start();
});

test('a lock that moved does not attest', async () => {
  const lock = await locked();
  // FLUSH BINARY LOGS is one of the few things that move the log under the lock.
  await server.sql('FLUSH BINARY LOGS');
  expect(await failureOf(lock.attest())).toMatchObject({ code: 'ATTEST_FAILED' });
});

test('bookkeeping of the log under the lock is not taken for a write', async () => {
  await server.sql('FLUSH BINARY LOGS');
  const lock = await locked();
  const logged = async (): Promise<unknown[]> =>
    (await server.sql(`SHOW BINLOG EVENTS IN '${lock.position.file}'`)).map((event) => event.Event_type);
  await eventually(async () => (await logged()).includes('Binlog_checkpoint'));
  expect(await lock.attest()).toEqual(lock.position);
});

test('the lock outlives wait_timeout because it pings', async () => {
  const lock = await locked({ leaseMs: 2_000 });
  const since = performance.now();
  await eventually(() => performance.now() - since > 4_500);
  expect(await lock.attest()).toEqual(lock.position);
});
