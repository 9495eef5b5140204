import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { systemClock } from '@stillpoint/shared/time';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openSession } from '../../packages/agent/src/mariadb/session.ts';
import { checksumTables, compareChecksums } from '../../packages/agent/src/proof/index.ts';
import { eventually } from '../harness/eventually.ts';
import { startServer, type TestServer } from '../harness/mariadb-server.ts';
import { descendants, guardProcesses, killQuietly } from '../harness/processes.ts';
import { atGate, capture, partOf, precopy, publish, restored, SHOP, startLoad, tablesOf } from './gate-rig.ts';
import { failureOf, OPERATION, type TestHold, type TestNode, testNode, testTask } from './node.ts';

let server: TestServer;
let node: TestNode;
const cleanups: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  guardProcesses();
  server = await startServer({ name: 'gate' });
  await server.sql(SHOP);
});
beforeEach(() => {
  node = testNode(server);
});
afterEach(async () => {
  await node.agent.captures.forget(OPERATION);
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  execFileSync('rm', ['-rf', node.repository]);
});
afterAll(() => server?.remove());

async function held(on = node, timeoutMs?: number): Promise<TestHold> {
  const hold = await on.hold(timeoutMs);
  cleanups.push(async () => {
    await hold.release();
    await hold.snapshots?.close();
  });
  return hold;
}

const tools = () => descendants(process.pid, /mariadb-backup --defaults|zstd -q/);
const nothingRuns = async (): Promise<void> => {
  await eventually(() => tools().length === 0);
  expect(readdirSync(node.agent.config.stateDir)).toEqual([]);
  // Would wait for anything that mariadb-backup or the gate still held.
  await server.sql('SET lock_wait_timeout = 5; LOCK TABLES stillpoint.gate WRITE; UNLOCK TABLES; INSERT INTO shop.notes (v) VALUES (1)');
  await server.sql('SET lock_wait_timeout = 5; CREATE OR REPLACE TABLE shop.fresh (id INT)');
};

describe('the image of a copy that waited at the gate', () => {
  test.each([1, 2, 3])('restores to exactly the tables of the cut, whoever writes meanwhile (%i)', async () => {
    const stop = await startLoad(server);
    cleanups.push(stop);
    await precopy(node);
    expect(await atGate(server)).toHaveLength(1);
    const hold = await held();
    const cut = await tablesOf(server);
    await capture(node);
    expect(await tablesOf(server)).toEqual(cut);
    await hold.release();
    await eventually(async () => Number((await server.sql('SELECT COUNT(*) AS n FROM shop.ticks'))[0]?.n) > (cut.ticks ?? 0));
    const manifest = await publish(node);
    await stop();
    expect(manifest.mariadb?.position).toMatchObject({ file: hold.position?.file, offset: Number(hold.position?.offset) });
    const proven = manifest.checksums.map(({ table }) => table);
    expect(proven).toEqual(expect.arrayContaining(['labels', 'leaves', 'notes', 'numbers', 'orders', 'ticks']));
    expect(proven).not.toContain('gate');

    const copy = await restored(node, server);
    cleanups.push(() => copy.remove());
    const session = await openSession({ socket: copy.socket, user: 'root' });
    const sums = await checksumTables(session, manifest.checksums);
    await session.close();
    expect(compareChecksums(manifest.checksums, sums.checksums)).toMatchObject({ differing: [], missing: [], extra: [] });
    expect(await tablesOf(copy)).toEqual(cut);
    await nothingRuns();
  });

  test('is of one instant on two servers', async () => {
    const other = await startServer({ name: 'other', serverId: 2 });
    cleanups.push(() => other.remove());
    await other.sql(SHOP);
    const servers = [server, other];
    const nodes = [node, testNode(other)];
    for (const one of servers) await one.sql('CREATE OR REPLACE TABLE shop.causal (n INT PRIMARY KEY) ENGINE=InnoDB');
    const connections = await Promise.all(servers.map((one) => one.root()));
    let stop = false;
    const writing = (async () => {
      for (let n = 1; !stop; n++) for (const connection of connections) await connection.query('INSERT INTO shop.causal VALUES (?)', [n]);
    })();
    await Promise.all(nodes.map((one) => precopy(one)));
    const holds = await Promise.all(nodes.map((one) => held(one)));
    await Promise.all(nodes.map((one) => capture(one)));
    await Promise.all(holds.map((hold) => hold.release()));
    await Promise.all(nodes.map(publish));
    stop = true;
    await writing;
    await Promise.all(connections.map((connection) => connection.end()));
    const counts: number[] = [];
    for (const [index, one] of nodes.entries()) {
      const copy = await restored(one, servers[index] ?? server);
      counts.push((await tablesOf(copy)).causal ?? 0);
      await copy.remove();
    }
    const [first = 0, second = 0] = counts;
    expect(first).toBeGreaterThan(20);
    expect([0, 1]).toContain(first - second);
  });
});

test('clients that write or change tables of InnoDB do not wait for what waits at the gate', async () => {
  await precopy(node);
  const changes = [
    'INSERT INTO shop.ticks (v) VALUES (1)',
    'CREATE OR REPLACE TABLE shop.fresh (id INT) ENGINE=InnoDB',
    'ALTER TABLE shop.fresh ADD COLUMN v INT, ALGORITHM=COPY',
    'TRUNCATE shop.fresh',
    'RENAME TABLE shop.fresh TO shop.renamed',
    'DROP TABLE shop.renamed',
  ];
  await server.sql(`SET lock_wait_timeout = 5; ${changes.join('; ')}`);
  expect(await atGate(server)).toHaveLength(1);
});

test('a statement that runs on while the lock is waited for moves nothing', async () => {
  await server.sql('INSERT INTO shop.ticks (v) VALUES (1)');
  await precopy(node);
  const slow = server.sql('UPDATE shop.ticks SET v = v + 1 + SLEEP(1.5) ORDER BY id LIMIT 1');
  await eventually(async () => (await server.sql("SELECT 1 FROM information_schema.processlist WHERE state = 'User sleep'")).length > 0);
  const hold = await held();
  await slow;
  expect(hold.lockWaitMs).toBeGreaterThan(500);
  await capture(node);
  await hold.release();
  expect((await publish(node)).mariadb?.position).toMatchObject({ offset: Number(hold.position?.offset) });
});

describe('an attempt that fails', () => {
  /** A session that keeps the lock from being granted. */
  const inTheWay = async (): Promise<() => Promise<void>> => {
    const busy = await server.root();
    busy.on('error', () => undefined);
    await busy.query('LOCK TABLES shop.orders WRITE');
    return async () => busy.destroy();
  };
  const completes = async (): Promise<void> => {
    await precopy(node, testTask('precopy-2'));
    const hold = await held();
    await capture(node);
    await hold.release();
    expect((await publish(node)).shards).toContainEqual(expect.objectContaining({ content: 'mariadb-full' }));
    await nothingRuns();
  };

  test('leaves at the gate what waits there, when the server tells that others are in the way', async () => {
    await server.sql("INSTALL SONAME 'metadata_lock_info'");
    cleanups.push(() => server.sql("UNINSTALL SONAME 'metadata_lock_info'"));
    await precopy(node);
    const before = tools().map(({ pid }) => pid);
    const leave = await inTheWay();
    const error = await failureOf(node.hold(400));
    expect(error).toMatchObject({ code: 'LOCK_TIMEOUT', blockers: [expect.objectContaining({ lockMode: 'MDL_BACKUP_DDL' })] });
    await leave();
    await precopy(node, testTask('precopy-2'));
    expect(tools().map(({ pid }) => pid)).toEqual(before);
    await completes();
  });

  test('has spent it otherwise, and the next one begins anew', async () => {
    await precopy(node);
    const before = tools().map(({ pid }) => pid);
    const leave = await inTheWay();
    expect(await failureOf(node.hold(400))).toMatchObject({ code: 'LOCK_TIMEOUT' });
    await leave();
    await eventually(() => tools().every(({ pid }) => !before.includes(pid)));
    await completes();
  });

  test('when the connection that kept the gate closed is killed', async () => {
    await precopy(node);
    const [closer] = node.agent.captures.get(OPERATION)?.gate?.connections ?? [];
    await server.sql(`KILL ${closer}`);
    const error = await failureOf(node.hold());
    expect(error).toMatchObject({ code: 'HOLD_LOST', message: expect.stringContaining('gate') });
    await completes();
  });

  test('when mariadb-backup is killed at the gate', async () => {
    await precopy(node);
    for (const { pid, argv } of tools()) if (/mariadb-backup/.test(argv.join(' '))) killQuietly(pid, 'SIGKILL');
    await eventually(() => tools().length === 0);
    expect(await failureOf(node.hold())).toMatchObject({ code: 'HOLD_LOST' });
    await completes();
  });

  test('when the lock is given back before the capture', async () => {
    await precopy(node);
    const hold = await held();
    await hold.release();
    expect(await failureOf(capture(node))).toMatchObject({ code: 'HOLD_LOST' });
    await eventually(() => tools().length === 0);
    await completes();
  });
});

test('what waits at the gate for one hold is no image under another', async () => {
  await precopy(node);
  const first = await held();
  // Any other connection: a read lock can be held by several.
  Object.assign(first, { lock: { ...first.lock, connectionId: 1 } });
  expect(await failureOf(capture(node))).toMatchObject({ code: 'HOLD_LOST' });
  await first.release();
  await nothingRuns();
});

test('cancelling ends everything, before the gate and at it', async () => {
  const abort = new AbortController();
  const failing = failureOf(precopy(node, testTask('precopy-1', abort.signal)));
  await eventually(() => tools().length > 0);
  abort.abort();
  expect((await failing).code).toBe('CANCELLED');
  expect(existsSync(partOf(node))).toBe(false);
  await nothingRuns();
  await precopy(node);
  await node.agent.captures.forget(OPERATION);
  await nothingRuns();
});

test('a session that keeps mariadb-backup from its first stage is waited for, and ends nothing when it goes', async () => {
  const busy = await server.root();
  await busy.query('LOCK TABLES shop.orders WRITE');
  const copying = precopy(node);
  await eventually(
    async () => (await server.sql("SELECT 1 FROM information_schema.processlist WHERE info = 'BACKUP STAGE START'")).length > 0,
  );
  await busy.end();
  await copying;
  expect(await atGate(server)).toHaveLength(1);
});

describe('bounds', () => {
  /** A node by whose clock a second is over in some milliseconds. */
  const hasty = (): TestNode => {
    const clock = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() * 100 };
    return { ...node, agent: { ...node.agent, clock } };
  };

  test('who keeps mariadb-backup from its first stage for too long is named', async () => {
    const busy = await server.root();
    cleanups.push(async () => busy.destroy());
    await busy.query('LOCK TABLES shop.orders WRITE');
    const clock = { ...systemClock, sleep: (ms: number, signal?: AbortSignal) => systemClock.sleep(ms >= 10_000 ? 100 : ms, signal) };
    const error = await failureOf(precopy({ ...node, agent: { ...node.agent, clock } }));
    expect(error).toMatchObject({
      code: 'LOCK_TIMEOUT',
      blockers: expect.arrayContaining([expect.objectContaining({ connectionId: busy.threadId })]),
    });
    await busy.query('UNLOCK TABLES');
    await nothingRuns();
  });

  test('what waits at the gate is given up when a client has waited with it for too long', async () => {
    const quick = hasty();
    await precopy(quick);
    // Waits, and goes on once it is given up.
    await server.sql('INSERT INTO shop.notes (v) VALUES (1)');
    await eventually(() => tools().length === 0);
    const error = await failureOf(quick.hold());
    expect(error).toMatchObject({ code: 'LOCK_TIMEOUT', message: expect.stringContaining('given up') });
    await nothingRuns();
  });
});
