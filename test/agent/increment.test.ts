import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { imagesOf, LAYOUT, type PartManifest } from '@stillpoint/shared/manifest';
import { ServerStrategy } from '@stillpoint/shared/proto';
import { systemClock } from '@stillpoint/shared/time';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openSession } from '../../packages/agent/src/mariadb/session.ts';
import { checksumTables, compareChecksums } from '../../packages/agent/src/proof/index.ts';
import { eventually } from '../harness/eventually.ts';
import { startServer, type TestServer } from '../harness/mariadb-server.ts';
import { descendants, guardProcesses } from '../harness/processes.ts';
import { capture as captureBy, partOf, precopy as precopyBy, publish, restored, SHOP, startLoad, tablesOf } from './gate-rig.ts';
import { failureOf, OPERATION, type TestHold, type TestNode, type TestTask, testNode, testTask } from './node.ts';

/** The server is copied before the lock, and under it what has changed since. */
let server: TestServer;
let node: TestNode;
const cleanups: (() => Promise<unknown>)[] = [];

const precopy = (task?: TestTask, on = node) => precopyBy(on, task, ServerStrategy.INCREMENT);
const capture = (task?: TestTask) => captureBy(node, task, ServerStrategy.INCREMENT);

beforeAll(async () => {
  guardProcesses();
  server = await startServer({ name: 'increment' });
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

async function held(): Promise<TestHold> {
  const hold = await node.hold();
  cleanups.push(async () => {
    await hold.release();
    await hold.snapshots?.close();
  });
  return hold;
}

const ticks = async (): Promise<number> => Number((await server.sql('SELECT COUNT(*) AS n FROM shop.ticks'))[0]?.n);
const tools = () => descendants(process.pid, /mariadb-backup --defaults|zstd -q/);
const nothingRuns = async (): Promise<void> => {
  await eventually(() => tools().length === 0);
  expect(readdirSync(node.agent.config.stateDir)).toEqual([]);
  await server.sql('SET lock_wait_timeout = 5; INSERT INTO shop.notes (v) VALUES (1); CREATE OR REPLACE TABLE shop.fresh (id INT)');
};

/** What a part says and holds is what there was at the cut. */
async function expectCut(manifest: PartManifest, cut: Record<string, number>): Promise<void> {
  expect(imagesOf(manifest).map(({ name, content }) => [name, content])).toEqual([
    [LAYOUT.mariadbFull, 'mariadb-full'],
    [LAYOUT.mariadbDelta, 'mariadb-incremental'],
  ]);
  expect(manifest.mariadb?.chain).toBeUndefined();
  const copy = await restored(node, server, LAYOUT.mariadbDelta);
  cleanups.push(() => copy.remove());
  const session = await openSession({ socket: copy.socket, user: 'root' });
  const sums = await checksumTables(session, manifest.checksums);
  await session.close();
  expect(compareChecksums(manifest.checksums, sums.checksums)).toMatchObject({ differing: [], missing: [], extra: [] });
  expect(await tablesOf(copy)).toEqual(cut);
}

/** What increments could miss: tables and databases that come, go or get other names, of every engine. */
const MOVES = `
  CREATE TABLE shop.kept_myisam (id INT PRIMARY KEY, v INT) ENGINE=MyISAM;
  CREATE TABLE shop.gone_myisam (id INT PRIMARY KEY) ENGINE=MyISAM;
  CREATE TABLE shop.gone_aria (id INT PRIMARY KEY) ENGINE=Aria;
  CREATE TABLE shop.gone_innodb (id INT PRIMARY KEY) ENGINE=InnoDB;
  CREATE TABLE shop.named (id INT PRIMARY KEY) ENGINE=InnoDB;
  CREATE TABLE shop.named_myisam (id INT PRIMARY KEY) ENGINE=MyISAM;
  CREATE TABLE shop.emptied (id INT PRIMARY KEY) ENGINE=InnoDB;
  CREATE TABLE shop.engine (id INT PRIMARY KEY) ENGINE=MyISAM;
  CREATE TABLE shop.swapped_one (id INT PRIMARY KEY) ENGINE=InnoDB;
  CREATE TABLE shop.swapped_two (id INT PRIMARY KEY) ENGINE=InnoDB;
  CREATE TABLE shop.again (id INT PRIMARY KEY) ENGINE=InnoDB;
  CREATE TABLE shop.parts (id INT PRIMARY KEY) ENGINE=InnoDB PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (20));
  CREATE TABLE shop.exchanged (id INT PRIMARY KEY) ENGINE=InnoDB;
  INSERT INTO shop.swapped_one VALUES (1);
  INSERT INTO shop.swapped_two VALUES (2), (3);
  INSERT INTO shop.again VALUES (1), (2), (3);
  INSERT INTO shop.parts VALUES (1), (11), (12);
  INSERT INTO shop.exchanged VALUES (2), (3);
  CREATE VIEW shop.gone_view AS SELECT 1;
  INSERT INTO shop.emptied VALUES (1), (2);
  INSERT INTO shop.engine VALUES (1), (2);
  CREATE DATABASE gone; CREATE TABLE gone.one (id INT PRIMARY KEY) ENGINE=InnoDB; CREATE TABLE gone.two (id INT) ENGINE=MyISAM`;
const MOVED = `
  INSERT INTO shop.kept_myisam SELECT seq, seq FROM shop.seq_1_to_300;
  DROP TABLE shop.gone_myisam, shop.gone_aria, shop.gone_innodb;
  DROP VIEW shop.gone_view;
  RENAME TABLE shop.swapped_one TO shop.swapping, shop.swapped_two TO shop.swapped_one, shop.swapping TO shop.swapped_two;
  DROP TABLE shop.again; CREATE TABLE shop.again (id INT PRIMARY KEY, v INT) ENGINE=InnoDB; INSERT INTO shop.again VALUES (7, 7);
  ALTER TABLE shop.parts EXCHANGE PARTITION p0 WITH TABLE shop.exchanged;
  ALTER TABLE shop.parts DROP PARTITION p1; ALTER TABLE shop.parts ADD PARTITION (PARTITION p2 VALUES LESS THAN (30)); INSERT INTO shop.parts VALUES (21);
  RENAME TABLE shop.named TO shop.renamed_innodb, shop.named_myisam TO shop.renamed_myisam;
  TRUNCATE shop.emptied;
  ALTER TABLE shop.engine ENGINE=InnoDB;
  DROP DATABASE gone;
  CREATE DATABASE come; CREATE TABLE come.one (id INT PRIMARY KEY) ENGINE=InnoDB; INSERT INTO come.one VALUES (7);
  UPDATE shop.orders SET body = REVERSE(body) WHERE id % 50 = 0;
  ALTER TABLE shop.orders ADD COLUMN added INT DEFAULT 5`;
const UNDONE = `
  DROP TABLE IF EXISTS shop.kept_myisam, shop.gone_myisam, shop.gone_aria, shop.gone_innodb, shop.named, shop.named_myisam, shop.emptied, shop.engine,
    shop.renamed_innodb, shop.renamed_myisam, shop.swapped_one, shop.swapped_two, shop.swapping, shop.again, shop.parts, shop.exchanged;
  DROP VIEW IF EXISTS shop.gone_view; DROP DATABASE IF EXISTS gone; DROP DATABASE IF EXISTS come;
  ALTER TABLE shop.orders DROP COLUMN IF EXISTS added`;

const databasesOf = async (on: TestServer): Promise<string[]> =>
  (await on.sql("SELECT schema_name AS name FROM information_schema.schemata WHERE schema_name IN ('come', 'gone')")).map(({ name }) =>
    String(name),
  );

describe('the copy from before the lock, and the increment under it', () => {
  test.each([1, 2])('restore to exactly the tables of the cut, whoever writes meanwhile (%i)', async () => {
    const stop = await startLoad(server);
    cleanups.push(stop);
    await precopy();
    const before = await ticks();
    await eventually(async () => (await ticks()) > before + 20);
    const hold = await held();
    const cut = await tablesOf(server);
    await capture();
    expect(await tablesOf(server)).toEqual(cut);
    await hold.release();
    await eventually(async () => (await ticks()) > (cut.ticks ?? 0));
    const manifest = await publish(node);
    await stop();
    expect(manifest.mariadb?.position).toMatchObject({ file: hold.position?.file, offset: Number(hold.position?.offset) });
    expect(manifest.checksums.map(({ table }) => table)).toEqual(
      expect.arrayContaining(['labels', 'leaves', 'notes', 'numbers', 'orders', 'ticks']),
    );
    await expectCut(manifest, cut);
    expect(readdirSync(partOf(node)).toSorted()).toEqual(
      [LAYOUT.mariadbDelta, LAYOUT.mariadbFull, LAYOUT.partManifest, LAYOUT.started].toSorted(),
    );
    await nothingRuns();
  });

  test('hold no table, view or database that was gone at the cut, of any engine, and every one that had come', async () => {
    await server.sql(MOVES);
    cleanups.push(() => server.sql(UNDONE));
    await precopy();
    await server.sql(MOVED);
    const hold = await held();
    const cut = await tablesOf(server);
    await capture();
    await hold.release();
    await expectCut(await publish(node), cut);
    const copy = await restored(node, server, LAYOUT.mariadbDelta);
    cleanups.push(() => copy.remove());
    expect(await databasesOf(copy)).toEqual(['come']);
  });
});

test('a server without a binary log is captured so too', async () => {
  const plain = await startServer({ name: 'plain', options: { skip_log_bin: '' } });
  cleanups.push(() => plain.remove());
  await plain.sql(SHOP);
  node = testNode(plain);
  await precopy();
  await plain.sql('INSERT INTO shop.ticks (v) VALUES (1); CREATE TABLE shop.come (id INT PRIMARY KEY) ENGINE=MyISAM');
  const hold = await held();
  const cut = await tablesOf(plain);
  await capture();
  await hold.release();
  await plain.sql('INSERT INTO shop.ticks (v) VALUES (1)');
  const manifest = await publish(node);
  expect(manifest.mariadb?.position.logBin).toBe(false);
  await expectCut(manifest, cut);
});

describe('a further attempt', () => {
  const base = () => statSync(join(partOf(node), LAYOUT.mariadbFull));

  test('uses the same copy from before, and takes the increment again', async () => {
    await precopy();
    const { ino, mtimeMs } = base();
    const first = await held();
    await capture();
    const spent = statSync(join(partOf(node), LAYOUT.mariadbDelta));
    // As when another node has lost its hold: nothing is said of this image any more.
    await first.release();
    await server.sql('INSERT INTO shop.ticks (v) VALUES (1); CREATE OR REPLACE TABLE shop.second (id INT PRIMARY KEY) ENGINE=InnoDB');
    cleanups.push(() => server.sql('DROP TABLE shop.second'));
    const task = testTask('precopy-2');
    await precopy(task);
    expect(task.messages).toEqual([]);
    const second = await held();
    const cut = await tablesOf(server);
    await capture(testTask('capture-2'));
    await second.release();
    const manifest = await publish(node);
    expect(base()).toMatchObject({ ino, mtimeMs });
    expect(statSync(join(partOf(node), LAYOUT.mariadbDelta)).mtimeMs).toBeGreaterThan(spent.mtimeMs);
    expect(manifest.mariadb?.position).toMatchObject({ offset: Number(second.position?.offset) });
    await expectCut(manifest, cut);
  });

  test('copies the server again when it is another one, though its log goes on', async () => {
    await precopy();
    const { ino } = base();
    await server.stop();
    // A restore by hand: the same files in another directory of that name.
    execFileSync('bash', ['-c', 'mv "$0" "$0".before && cp -a "$0".before "$0" && rm -r "$0".before', server.datadir]);
    await server.start();
    const task = testTask('precopy-2');
    await precopy(task);
    expect(task.messages).toEqual([expect.stringMatching(/^the server is copied again: its data directory is not the one of the copy/)]);
    expect(base().ino).not.toBe(ino);
    const hold = await held();
    const cut = await tablesOf(server);
    await capture();
    await hold.release();
    await expectCut(await publish(node), cut);
  });

  test('is not misled when the server becomes another one between the copy and the lock', async () => {
    await precopy();
    await server.stop();
    execFileSync('bash', ['-c', 'mv "$0" "$0".before && cp -a "$0".before "$0" && rm -r "$0".before', server.datadir]);
    await server.start();
    await held();
    expect(await failureOf(capture())).toMatchObject({ code: 'CAPTURE_MOVED' });
    expect(existsSync(partOf(node))).toBe(false);
    await eventually(() => tools().length === 0);
  });
});

test('a lock that is lost while the increment is taken ends it, and leaves nothing', async () => {
  await precopy();
  const hold = await held();
  const failing = failureOf(capture());
  await eventually(() => tools().length > 0);
  await server.sql(`KILL ${hold.lock?.connectionId}`);
  expect(await failing).toMatchObject({ code: 'HOLD_LOST' });
  expect(existsSync(partOf(node))).toBe(false);
  await nothingRuns();
});

test('without a copy from before there is no increment', async () => {
  await held();
  expect(await failureOf(capture())).toMatchObject({ code: 'HOLD_LOST', message: expect.stringContaining('was not copied before') });
});

test('cancelling ends everything, before the lock and under it', async () => {
  const before = new AbortController();
  const failing = failureOf(precopy(testTask('precopy-1', before.signal)));
  await eventually(() => tools().length > 0);
  before.abort();
  expect((await failing).code).toBe('CANCELLED');
  expect(existsSync(partOf(node))).toBe(false);
  await nothingRuns();

  await precopy();
  const hold = await held();
  const under = new AbortController();
  const ending = failureOf(capture(testTask('capture', under.signal)));
  await eventually(() => tools().length > 0);
  under.abort();
  expect((await ending).code).toBe('CANCELLED');
  await hold.release();
  expect(existsSync(partOf(node))).toBe(false);
  await nothingRuns();
});

describe('bounds of the copy from before', () => {
  /** A node by whose clock a second is over in some milliseconds. */
  const hasty = (): TestNode => {
    const clock = {
      ...systemClock,
      monotonicMs: () => systemClock.monotonicMs() * 1000,
      sleep: (ms: number, signal?: AbortSignal) => systemClock.sleep(ms / 10, signal),
    };
    return { ...node, agent: { ...node.agent, clock } };
  };

  test('who keeps mariadb-backup waiting is named', async () => {
    const busy = await server.root();
    cleanups.push(async () => busy.destroy());
    await busy.query('LOCK TABLES shop.orders WRITE');
    const error = await failureOf(precopy(undefined, hasty()));
    expect(error).toMatchObject({
      code: 'LOCK_TIMEOUT',
      blockers: expect.arrayContaining([expect.objectContaining({ connectionId: busy.threadId })]),
    });
    await busy.query('UNLOCK TABLES');
    await nothingRuns();
  });

  test('it is given up when a client has waited for too long', async () => {
    const holder = await server.root();
    await holder.query('FLUSH TABLES WITH READ LOCK');
    const waiting = server.sql('INSERT INTO shop.notes (v) VALUES (1)');
    const stalled = "SELECT 1 FROM information_schema.processlist WHERE info LIKE 'INSERT%' AND state = 'Waiting for backup lock'";
    await eventually(async () => (await server.sql(stalled)).length === 1);
    const error = await failureOf(precopy(undefined, hasty()));
    expect(error).toMatchObject({ code: 'LOCK_TIMEOUT', message: expect.stringContaining('given up') });
    await holder.end();
    await waiting;
    await nothingRuns();
  });
});
