import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { decodePartManifest, LAYOUT, type PartManifest, partDirectory } from '@stillpoint/shared/manifest';
import { type CaptureTask, CaptureTaskSchema, PublishTaskSchema } from '@stillpoint/shared/proto';
import type { Connection } from 'mysql2/promise';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { captureTask, publishTask } from '../../packages/agent/src/capture/index.ts';
import { openSession } from '../../packages/agent/src/mariadb/session.ts';
import { checksumTables, compareChecksums } from '../../packages/agent/src/proof/index.ts';
import { eventually } from '../harness/eventually.ts';
import { closeGate, makePrograms, replaceProgram } from '../harness/gates.ts';
import { startServer, type TestServer, testDirectory } from '../harness/mariadb-server.ts';
import { descendants, guardProcesses, killQuietly } from '../harness/processes.ts';
import { failureOf, OPERATION, SET, type TestNode, testNode, testTask } from './node.ts';

const realPath = process.env.PATH ?? '';
let programs: string;
let server: TestServer;
let node: TestNode;
let part: string;
const cleanups: (() => Promise<unknown>)[] = [];

const SCHEMA = `
  CREATE DATABASE shop;
  CREATE TABLE shop.orders (id INT AUTO_INCREMENT PRIMARY KEY, body VARBINARY(600) NOT NULL) ENGINE=InnoDB;
  INSERT INTO shop.orders (body) SELECT CONCAT(SHA2(seq, 512), SHA2(-seq, 512), SHA2(7 * seq, 512)) FROM shop.seq_1_to_30000;
  CREATE TABLE shop.ticks (id BIGINT AUTO_INCREMENT PRIMARY KEY, v INT) ENGINE=InnoDB;
  CREATE TABLE shop.notes (id INT AUTO_INCREMENT PRIMARY KEY, v INT) ENGINE=MyISAM;
  CREATE TABLE shop.labels (id INT AUTO_INCREMENT PRIMARY KEY, v INT) ENGINE=Aria TRANSACTIONAL=1;
  CREATE TABLE shop.empty (id INT) ENGINE=InnoDB;
  CREATE TABLE shop.\`odd name ü.x\` (id INT) ENGINE=InnoDB;
  INSERT INTO shop.\`odd name ü.x\` VALUES (1);
  CREATE TABLE shop.parts (id INT PRIMARY KEY) ENGINE=InnoDB PARTITION BY HASH (id) PARTITIONS 3;
  INSERT INTO shop.parts SELECT seq FROM shop.seq_1_to_50;
  CREATE TABLE shop.gone_after_restart (id INT) ENGINE=MEMORY;
  CREATE SEQUENCE shop.numbers;
  CREATE VIEW shop.recent AS SELECT * FROM shop.orders ORDER BY id DESC LIMIT 10`;

beforeAll(async () => {
  guardProcesses();
  server = await startServer({ name: 'capture' });
  await server.sql(SCHEMA);
});
beforeEach(() => {
  programs = testDirectory('programs');
  makePrograms(programs);
  process.env.PATH = `${programs}:${realPath}`;
  node = testNode(server);
  part = partDirectory(node.repository, 'test', SET, 'n1');
});
afterEach(async () => {
  process.env.PATH = realPath;
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  execFileSync('rm', ['-rf', node.repository]);
});
afterAll(() => server?.remove());

const spec = (): CaptureTask => create(CaptureTaskSchema, { setId: SET });

async function held(): Promise<Awaited<ReturnType<TestNode['hold']>>> {
  const hold = await node.hold();
  cleanups.push(async () => {
    await hold.release();
    await hold.snapshots?.close();
  });
  return hold;
}

const capture = (task = testTask('capture')) => captureTask.run(node.agent, spec(), task);

async function published(task = testTask('publish')): Promise<PartManifest> {
  const result = await publishTask.run(node.agent, create(PublishTaskSchema, { setId: SET }), task);
  const value = result.result?.case === 'publish' ? result.result.value : undefined;
  expect(value?.manifest).toEqual(new Uint8Array(readFileSync(join(part, LAYOUT.partManifest))));
  return decodePartManifest(value?.manifest ?? new Uint8Array(), 'part.json');
}

/** Clients that write into every engine until they are stopped. */
async function writers(): Promise<() => Promise<void>> {
  let stop = false;
  const loop = async (table: string): Promise<void> => {
    const connection: Connection = await server.root();
    while (!stop) await connection.query(`INSERT INTO shop.${table} (v) VALUES (1)`);
    await connection.end();
  };
  const loops = ['ticks', 'notes', 'labels', 'ticks'].map(loop);
  await eventually(async () => Number((await server.sql('SELECT COUNT(*) AS n FROM shop.ticks'))[0]?.n) > 20);
  return async () => {
    stop = true;
    await Promise.all(loops);
  };
}

/** Restores a part by hand and gives a server on it. */
async function restored(): Promise<TestServer> {
  const copy = await startServer({ name: 'restored', serverId: 99 });
  cleanups.push(() => copy.remove());
  await copy.stop();
  execFileSync('rm', ['-rf', copy.datadir]);
  mkdirSync(copy.datadir);
  execFileSync('bash', ['-c', `set -o pipefail; zstd -dc '${join(part, LAYOUT.mariadbFull)}' | mbstream -x -C '${copy.datadir}'`]);
  execFileSync('mariadb-backup', ['--prepare', `--target-dir=${copy.datadir}`], { stdio: 'pipe' });
  execFileSync('chown', ['-R', '--reference', server.datadir, copy.datadir]);
  await copy.start();
  return copy;
}

const sha256 = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');
const rest = (): string[] => (existsSync(part) ? readdirSync(part) : []);
const tools = () => descendants(process.pid, /mariadb-backup|zstd/);
const nothingLeft = async (): Promise<void> => {
  expect(existsSync(part)).toBe(false);
  await eventually(() => tools().length === 0);
  expect(readdirSync(node.agent.config.stateDir)).toEqual([]);
};

describe('a capture under the lock, with clients that write all the time', () => {
  test('restores to exactly the tables of the cut', async () => {
    const etc = join(server.directory, 'etc');
    mkdirSync(join(etc, 'conf.d'), { recursive: true });
    writeFileSync(join(etc, 'conf.d', 'tuning.cnf'), '[mariadbd]\nmax_connections=77\n', { mode: 0o640 });
    writeFileSync(join(etc, 'auto.cnf'), 'server-uuid=1\n');
    symlinkSync(join(etc, 'conf.d', 'tuning.cnf'), join(etc, 'link.cnf'));
    node = testNode(server, { configuration: [etc, '/nowhere/at/all'] });
    const stop = await writers();
    await server.sql('INSERT INTO shop.`odd name ü.x` VALUES (2)');
    const hold = await held();
    const task = testTask('capture');
    const result = await capture(task);
    await hold.release();
    await server.sql('INSERT INTO shop.`odd name ü.x` VALUES (3)');
    await server.sql('ALTER TABLE shop.empty ADD COLUMN later INT; TRUNCATE shop.parts');
    const publishing = testTask('publish');
    const manifest = await published(publishing);
    await stop();

    expect(result.result).toMatchObject({ case: 'capture', value: { position: hold.position } });
    const shard = manifest.shards.find(({ content }) => content === 'mariadb-full');
    expect(shard?.sha256).toBe(sha256(join(part, LAYOUT.mariadbFull)));
    expect(rest().sort()).toEqual([LAYOUT.configuration, LAYOUT.mariadbFull, LAYOUT.partManifest, LAYOUT.started].sort());
    expect(manifest.mariadb?.position).toMatchObject({ logBin: true, file: hold.position?.file, offset: Number(hold.position?.offset) });
    expect(manifest.mariadb?.dataBytes).toBeGreaterThan(12 * 1024 * 1024);
    expect(task.steps.at(-1)).toMatchObject({ step: 'copy', done: manifest.mariadb?.dataBytes, total: manifest.mariadb?.dataBytes });
    expect(manifest.timings.blockedMs).toBeGreaterThan(manifest.timings.captureMs);

    const reasons = new Map(manifest.unproven.map(({ table, reason }) => [table, reason]));
    expect(reasons.get('empty')).toMatch(/altered/);
    expect(reasons.get('parts')).toMatch(/altered or truncated/);
    expect(reasons.get('gone_after_restart')).toMatch(/MEMORY/);
    expect([...reasons.keys()].sort()).toEqual(['empty', 'gone_after_restart', 'parts']);
    const proven = manifest.checksums.map(({ table }) => table).sort();
    expect(proven).toEqual(['labels', 'notes', 'numbers', 'odd name ü.x', 'orders', 'ticks']);

    const tuning = manifest.configuration.find(({ path }) => path.endsWith('tuning.cnf'));
    expect(manifest.configuration).toHaveLength(1);
    expect(tuning).toMatchObject({
      path: join(etc, 'conf.d', 'tuning.cnf'),
      mode: '0640',
      sha256: sha256(join(etc, 'conf.d', 'tuning.cnf')),
    });
    const listed = execFileSync('bash', ['-c', `zstd -dc '${join(part, LAYOUT.configuration)}' | tar tvf -`], { encoding: 'utf8' });
    expect(listed).toContain(`${join(etc, 'conf.d', 'tuning.cnf').slice(1)}`);
    expect(publishing.messages.join()).toContain('/nowhere/at/all');

    const copy = await restored();
    const session = await openSession({ socket: copy.socket, user: 'root' });
    const sums = await checksumTables(session, manifest.checksums);
    await session.close();
    expect(compareChecksums(manifest.checksums, sums.checksums)).toEqual({ equal: 6, differing: [], missing: [], extra: [] });
    expect((await copy.sql('SELECT id FROM shop.`odd name ü.x` ORDER BY id')).map((row) => row.id)).toEqual([1, 2]);
  });

  test('works without a binary log, relying on the holder alone', async () => {
    const plain = await startServer({ name: 'plain', options: { skip_log_bin: '' } });
    cleanups.push(() => plain.remove());
    node = testNode(plain);
    part = partDirectory(node.repository, 'test', SET, 'n1');
    const hold = await held();
    const { result } = await capture();
    expect(result).toMatchObject({ case: 'capture' });
    expect(result?.case === 'capture' && result.value.position).toBeUndefined();
    await hold.release();
    expect((await published()).mariadb?.position).toMatchObject({ logBin: false, file: '' });
  });

  test('works on a replica that does not log what it replicates', async () => {
    const replica = await startServer({ name: 'replica', serverId: 2, options: { log_slave_updates: '0' } });
    cleanups.push(() => replica.remove());
    await server.sql("CREATE OR REPLACE USER repl@'%' IDENTIFIED BY 'r'; GRANT REPLICATION SLAVE ON *.* TO repl@'%'");
    await replica.sql(`CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=${server.port}, MASTER_USER='repl', MASTER_PASSWORD='r',
      MASTER_USE_GTID=slave_pos; START SLAVE`);
    await server.sql('INSERT INTO shop.ticks (v) VALUES (5)');
    await eventually(async () => (await replica.sql('SHOW SLAVE STATUS'))[0]?.Gtid_IO_Pos !== '');
    await eventually(async () => (await replica.sql("SELECT 1 FROM information_schema.tables WHERE table_name = 'orders'")).length > 0);
    node = testNode(replica);
    part = partDirectory(node.repository, 'test', SET, 'n1');
    const hold = await held();
    expect(hold.position?.gtidSlavePos).toMatch(/^0-1-/);
    expect(hold.position?.gtidBinlogPos).not.toBe(hold.position?.gtidSlavePos);
    expect(hold.sources).toMatchObject([{ host: '127.0.0.1', port: server.port, usingGtid: 'Slave_Pos', running: true }]);
    await capture();
    await hold.release();
    expect((await published()).mariadb?.sources).toEqual([
      { connectionName: '', host: '127.0.0.1', port: server.port, user: 'repl', usingGtid: 'Slave_Pos' },
    ]);
  });
});

describe('a capture that fails leaves nothing behind', () => {
  /** Holds the copy open: zstd does not read, so mariadb-backup stands in front of a full pipe. */
  const standing = () => closeGate(programs, 'zstd', '-c');

  test.each([
    ['mariadb-backup is killed', /mariadb-backup --defaults/, /mariadb-backup was ended by SIGKILL/],
    ['zstd is killed', /zstd/, /was ended by SIGKILL/],
  ])('when %s', async (_, victim, message) => {
    const hold = await held();
    const gate = standing();
    const failing = failureOf(capture());
    await gate.reached();
    const [process_] = await eventually(() => {
      const found = descendants(process.pid, victim);
      return found.length > 0 ? found : undefined;
    });
    killQuietly(process_?.pid ?? 0, 'SIGKILL');
    gate.open();
    const error = await failing;
    expect(error.code).toBe('CAPTURE_FAILED');
    expect(error.message).toMatch(message);
    expect(hold.inForce).toBe(true);
    await nothingLeft();
  });

  test('when the hold is lost on the way', async () => {
    const hold = await held();
    const gate = standing();
    const failing = failureOf(capture());
    await gate.reached();
    await server.sql(`KILL ${hold.lock?.connectionId}`);
    expect((await failing).code).toBe('HOLD_LOST');
    await nothingLeft();
  });

  test('when it is cancelled', async () => {
    await held();
    const gate = standing();
    const abort = new AbortController();
    const failing = failureOf(capture(testTask('capture', abort.signal)));
    await gate.reached();
    abort.abort();
    expect((await failing).code).toBe('CANCELLED');
    await nothingLeft();
  });

  test('when the log moves under the lock', async () => {
    await held();
    const gate = standing();
    const failing = failureOf(capture());
    await gate.reached();
    await server.sql('FLUSH BINARY LOGS');
    gate.open();
    expect((await failing).code).toMatch(/^ATTEST_FAILED|CAPTURE_MOVED$/);
    await nothingLeft();
  });

  test('when the server dies', async () => {
    await held();
    const gate = standing();
    const failing = failureOf(capture());
    await gate.reached();
    await server.kill('SIGKILL');
    gate.open();
    expect((await failing).code).toMatch(/^HOLD_LOST|CAPTURE_FAILED$/);
    await nothingLeft();
    await server.start();
  });

  const real = (program: string): string =>
    execFileSync('bash', ['-c', `PATH='${realPath}' command -v ${program}`], { encoding: 'utf8' }).trim();
  const after = (commands: string): string => `
    for a in "$@"; do case "$a" in --extra-lsndir=*) lsn=\${a#*=};; esac; done
    ${real('mariadb-backup')} "$@"; rc=$?
    ${commands}
    exit $rc`;

  test.each([
    [
      'records another position',
      'sed -i "s/position \'[0-9]*\'/position \'4\'/" "$lsn/xtrabackup_info"',
      'CAPTURE_MOVED',
      /under the lock it was/,
    ],
    ['records another GTID', 'sed -i "s/change \'.*\'/change \'0-1-1\'/" "$lsn/xtrabackup_info"', 'CAPTURE_MOVED', /0-1-1/],
    ['records no position', 'sed -i "/^binlog_pos/d" "$lsn/xtrabackup_info"', 'CAPTURE_MOVED', /none/],
    ['does not write its last file', 'rm "$lsn/xtrabackup_info"', 'CAPTURE_FAILED', /comes last/],
    ['finds damaged pages', 'touch "$lsn/innodb_corrupted_pages"', 'CAPTURE_FAILED', /damaged pages/],
    ['does not say that it completed', 'echo "one more thing" >&2', 'CAPTURE_FAILED', /one more thing/],
    ['fails at the end', 'echo "last words" >&2; rc=1', 'CAPTURE_FAILED', /exited with 1: [\s\S]*last words/],
    ['finds its disk full', 'echo "write failed, errno: 28" >&2; rc=1', 'DISK_FULL', /errno: 28/],
  ])('when mariadb-backup %s', async (_, commands, code, message) => {
    replaceProgram(programs, 'mariadb-backup', after(commands));
    const hold = await held();
    const error = await failureOf(capture());
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(hold.inForce).toBe(true);
    await nothingLeft();
  });

  test.each([
    ['leaves databases out', '[mariabackup]\ndatabases-exclude=shop\n', /`partial = Y`/],
    ['takes some tables only', '[mariadb-backup]\ntables=^shop[.]orders\n', /`partial = Y`/],
    ['compresses for clients', '[client]\ncompress\n', /`compressed = compressed`/],
  ])('when an option file %s', async (_, group, message) => {
    const defaultsFile = join(server.directory, 'for-the-tool.cnf');
    writeFileSync(defaultsFile, `!include ${server.defaultsFile}\n${group}`);
    node = testNode({ directory: server.directory, socket: server.socket, defaultsFile });
    const hold = await held();
    const error = await failureOf(capture());
    expect(error.code).toBe('CAPTURE_FAILED');
    expect(error.message).toMatch(message);
    expect(error.hint).toContain('[client]');
    expect(hold.inForce).toBe(true);
    await nothingLeft();
  });

  test('when zstd fails although mariadb-backup succeeds', async () => {
    replaceProgram(programs, 'zstd', `${real('zstd')} "$@"; exit 3`);
    await held();
    expect(await failureOf(capture())).toMatchObject({ code: 'CAPTURE_FAILED', message: expect.stringContaining('zstd exited with 3') });
    await nothingLeft();
  });

  test('when a tool is missing', async () => {
    await held();
    process.env.PATH = testDirectory('empty');
    const error = await failureOf(capture());
    process.env.PATH = realPath;
    expect(error).toMatchObject({ code: 'TOOL_MISSING' });
    await nothingLeft();
  });

  const mounted = process.getuid?.() === 0;
  test.skipIf(!mounted)(`when the disk runs full${mounted ? '' : ' (skipped: only root may mount a small file system)'}`, async () => {
    const small = testDirectory('small');
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', small]);
    cleanups.push(async () => execFileSync('umount', ['-l', small]));
    node = testNode(server, { repository: small });
    part = partDirectory(small, 'test', SET, 'n1');
    const hold = await held();
    const error = await failureOf(capture());
    expect(error.code).toBe('DISK_FULL');
    expect(error.message).toContain(small);
    expect(hold.inForce).toBe(true);
    await nothingLeft();
    cleanups.push(async () => execFileSync('rm', ['-rf', join(small, 'test')]));
  });
});

test('a part of a dead agent is removed before the next attempt', async () => {
  mkdirSync(part, { recursive: true });
  writeFileSync(join(part, LAYOUT.mariadbFull), 'half');
  mkdirSync(node.agent.config.stateDir, { recursive: true });
  writeFileSync(join(node.agent.config.stateDir, '.mariadb-backup-0123456789ab.cnf'), 'password="x"');
  await captureTask.recover?.(node.agent, spec(), OPERATION);
  expect(existsSync(part)).toBe(false);
  expect(readdirSync(node.agent.config.stateDir)).toEqual([]);
});

test('a hold that is over cannot be captured under', async () => {
  const hold = await held();
  await hold.release();
  expect(await failureOf(capture())).toMatchObject({ code: 'HOLD_LOST' });
});

test('the password is in no argument, and in no file once the tool has connected', async () => {
  await server.sql("CREATE OR REPLACE USER stillpoint@localhost IDENTIFIED BY 'se cret#1'; GRANT ALL ON *.* TO stillpoint@localhost");
  const passwordFile = join(server.directory, 'password');
  writeFileSync(passwordFile, 'se cret#1\n', { mode: 0o600 });
  node = testNode(server, { user: 'stillpoint', passwordFile });
  await held();
  const gate = closeGate(programs, 'zstd', '-c');
  const capturing = capture();
  await gate.reached();
  const running = await eventually(() => {
    const found = tools();
    return found.some(({ argv }) => argv.join(' ').includes('--backup')) ? found : undefined;
  });
  expect(JSON.stringify(running)).not.toContain('se cret');
  const environments = running.map(({ pid }) => readFileSync(`/proc/${pid}/environ`, 'utf8')).join();
  expect(environments).not.toContain('se cret');
  await eventually(() => readdirSync(node.agent.config.stateDir).length === 0);
  gate.open();
  await capturing;
  expect(readFileSync(join(part, LAYOUT.started), 'utf8')).not.toContain('se cret');
});
