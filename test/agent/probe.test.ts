import { systemClock } from '@stillpoint/shared/time';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { acquireLock } from '../../packages/agent/src/mariadb/lock.ts';
import { startProbe } from '../../packages/agent/src/mariadb/probe.ts';
import type { Account } from '../../packages/agent/src/mariadb/session.ts';
import { eventually } from '../harness/eventually.ts';
import { startServer, type TestServer } from '../harness/mariadb-server.ts';

let server: TestServer;
let account: Account;
const { signal } = new AbortController();
const TABLE = 'CREATE DATABASE stillpoint; CREATE TABLE stillpoint.probe (id TINYINT PRIMARY KEY, writes BIGINT NOT NULL) ENGINE=InnoDB';

beforeAll(async () => {
  server = await startServer({ name: 'probe' });
  account = { socket: server.socket, user: 'root' };
});
afterAll(() => server?.remove());

const probe = () => startProbe(account, 2, systemClock, signal);
const sessions = async (): Promise<number> => (await server.sql("SELECT 1 FROM information_schema.processlist WHERE user = 'root'")).length;

test('without its table it says so at once, and leaves no connection', async () => {
  const before = await sessions();
  await expect(probe()).rejects.toThrow(/stillpoint/);
  await eventually(async () => (await sessions()) === before);
});

test('feels the lock as long as a client would, and ends by a write after it', async () => {
  await server.sql(TABLE);
  const running = await probe();
  await eventually(async () => Number((await server.sql('SELECT writes FROM stillpoint.probe'))[0]?.writes) > 5);
  const lock = await acquireLock(account, { timeoutMs: 5_000, leaseMs: 10_000, clock: systemClock, signal });
  const before = Number((await server.sql('SELECT writes FROM stillpoint.probe'))[0]?.writes);
  const lockedMs = systemClock.monotonicMs();
  await systemClock.sleep(300);
  const leastMs = systemClock.monotonicMs() - lockedMs;
  await lock.release();
  const felt = await running?.finish();
  expect(felt?.failure).toBeUndefined();
  // Less one pause between two writes.
  expect(felt?.longestMs).toBeGreaterThan(leastMs - 50);
  expect(felt?.writes).toBeGreaterThan(before);
  expect(Number((await server.sql('SELECT writes FROM stillpoint.probe'))[0]?.writes)).toBe(felt?.writes);
});

test('whose writers are not let go tells that, and keeps nobody waiting for long', async () => {
  const running = await probe();
  const lock = await acquireLock(account, { timeoutMs: 5_000, leaseMs: 10_000, clock: systemClock, signal });
  expect((await running?.finish())?.failure).toMatch(/still waits/);
  await lock.release();
});

test('that loses its connection tells why', async () => {
  const running = await probe();
  const [row] = await server.sql(
    "SELECT id FROM information_schema.processlist WHERE info LIKE 'INSERT INTO stillpoint.probe%' OR (user = 'root' AND command = 'Sleep') ORDER BY id DESC LIMIT 1",
  );
  await server.sql(`KILL ${row?.id}`);
  await eventually(async () => (await running?.finish())?.failure !== undefined);
});

test('is not on a replica, where its write would be none of the source', async () => {
  const replica = await startServer({ name: 'probe-replica', serverId: 2 });
  try {
    await replica.sql(
      `CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=${server.port}, MASTER_USER='root', MASTER_USE_GTID=slave_pos`,
    );
    expect(await startProbe({ socket: replica.socket, user: 'root' }, 2, systemClock, signal)).toBeUndefined();
  } finally {
    await replica.remove();
  }
});
