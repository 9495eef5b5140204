import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { decodePartManifest, LAYOUT, type PartManifest, partDirectory } from '@stillpoint/shared/manifest';
import {
  type CaptureOptions,
  CaptureOptionsSchema,
  CaptureTaskSchema,
  PrecopyStorage,
  PrecopyTaskSchema,
  PublishTaskSchema,
  ServerStrategy,
} from '@stillpoint/shared/proto';
import type { Connection } from 'mysql2/promise';
import { captureTask, precopyTask, publishTask } from '../../packages/agent/src/capture/index.ts';
import { eventually } from '../harness/eventually.ts';
import { startServer, type TestServer } from '../harness/mariadb-server.ts';
import { SET, type TestNode, testTask } from './node.ts';

/** Tables of every engine, and the gate. */
export const SHOP = `
  CREATE DATABASE shop;
  CREATE TABLE shop.orders (id INT AUTO_INCREMENT PRIMARY KEY, body VARBINARY(600) NOT NULL) ENGINE=InnoDB;
  INSERT INTO shop.orders (body) SELECT CONCAT(SHA2(seq, 512), SHA2(-seq, 512), SHA2(7 * seq, 512)) FROM shop.seq_1_to_20000;
  CREATE TABLE shop.ticks (id BIGINT AUTO_INCREMENT PRIMARY KEY, v INT) ENGINE=InnoDB;
  CREATE TABLE shop.notes (id INT AUTO_INCREMENT PRIMARY KEY, v INT) ENGINE=MyISAM;
  CREATE TABLE shop.labels (id INT AUTO_INCREMENT PRIMARY KEY, v INT) ENGINE=Aria TRANSACTIONAL=1;
  CREATE TABLE shop.leaves (id INT AUTO_INCREMENT PRIMARY KEY, v INT) ENGINE=Aria TRANSACTIONAL=0;
  CREATE SEQUENCE shop.numbers;
  CREATE DATABASE stillpoint;
  CREATE TABLE stillpoint.gate (closed INT) ENGINE=MyISAM`;

const optionsOf = (server: ServerStrategy): CaptureOptions => create(CaptureOptionsSchema, { server });

export const precopy = (node: TestNode, task = testTask('precopy-1'), server: ServerStrategy = ServerStrategy.GATE) =>
  precopyTask.run(node.agent, create(PrecopyTaskSchema, { setId: SET, options: optionsOf(server), storage: PrecopyStorage.SERVER }), task);

export const capture = (node: TestNode, task = testTask('capture'), server: ServerStrategy = ServerStrategy.GATE) =>
  captureTask.run(node.agent, create(CaptureTaskSchema, { setId: SET, options: optionsOf(server) }), task);

export async function publish(node: TestNode): Promise<PartManifest> {
  const { result } = await publishTask.run(node.agent, create(PublishTaskSchema, { setId: SET }), testTask('publish'));
  return decodePartManifest(result?.case === 'publish' ? (result.value.manifest ?? new Uint8Array()) : new Uint8Array(), 'part.json');
}

export const partOf = (node: TestNode): string => partDirectory(node.repository, 'test', SET, 'n1');

const INSERTS = ['ticks', 'notes', 'labels', 'ticks', 'leaves'];
const CHANGES = [
  'CREATE OR REPLACE TABLE shop.fresh (id INT PRIMARY KEY) ENGINE=InnoDB',
  'INSERT INTO shop.fresh SELECT seq FROM shop.seq_1_to_50',
  'ALTER TABLE shop.fresh ADD COLUMN v INT',
  'RENAME TABLE shop.fresh TO shop.renamed',
  'TRUNCATE shop.renamed',
  'DROP TABLE shop.renamed',
];

/** A change of a table may be chosen to end a deadlock of the server's own making; whoever makes it tries again. */
function unlessDeadlock(error: NodeJS.ErrnoException): void {
  if (error.errno !== 1213) throw error;
}

/** Clients that write into tables of every engine, and one that changes tables, until they are stopped. */
export async function startLoad(server: TestServer, tables: readonly string[] = INSERTS): Promise<() => Promise<void>> {
  let stop = false;
  const loop = async (statements: readonly string[]): Promise<void> => {
    const connection: Connection = await server.root();
    while (!stop) for (const statement of statements) await connection.query(statement).catch(unlessDeadlock);
    await connection.end();
  };
  const loops = [...tables.map((table) => loop([`INSERT INTO shop.${table} (v) VALUES (1)`])), loop(CHANGES)];
  await eventually(async () => Number((await server.sql('SELECT COUNT(*) AS n FROM shop.ticks'))[0]?.n) > 20);
  return async () => {
    stop = true;
    await Promise.all(loops);
  };
}

/** A server on the image of a part, and an increment of it, restored by hand. */
export async function restored(node: TestNode, like: TestServer, increment?: string): Promise<TestServer> {
  const copy = await startServer({ name: 'restored', serverId: 99 });
  await copy.stop();
  execFileSync('rm', ['-rf', copy.datadir]);
  mkdirSync(copy.datadir);
  const extract = (name: string, directory: string): void => {
    execFileSync('bash', ['-c', `set -o pipefail; zstd -dc '${join(partOf(node), name)}' | mbstream -x -C '${directory}'`]);
  };
  extract(LAYOUT.mariadbFull, copy.datadir);
  execFileSync('mariadb-backup', ['--prepare', `--target-dir=${copy.datadir}`], { stdio: 'pipe' });
  if (increment !== undefined) {
    const place = join(copy.directory, 'increment');
    mkdirSync(place);
    extract(increment, place);
    execFileSync('mariadb-backup', ['--prepare', `--target-dir=${copy.datadir}`, `--incremental-dir=${place}`], { stdio: 'pipe' });
  }
  execFileSync('chown', ['-R', '--reference', like.datadir, copy.datadir]);
  await copy.start();
  return copy;
}

/** Names and rows of the tables of the shop; two servers that give the same hold the same, as far as counting goes. */
export async function tablesOf(server: TestServer): Promise<Record<string, number>> {
  const tables = await server.sql(
    "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'shop' ORDER BY table_name",
  );
  const counts: Record<string, number> = {};
  for (const { name } of tables) counts[name] = Number((await server.sql(`SELECT COUNT(*) AS n FROM shop.\`${name}\``))[0]?.n);
  return counts;
}

/** Who waits at the gate of a server, by the server's own list. */
export const atGate = (server: TestServer) =>
  server.sql("SELECT id FROM information_schema.processlist WHERE info = 'BACKUP STAGE BLOCK_DDL' AND state = 'Waiting for backup lock'");
