import { rmSync } from 'node:fs';
import type { TestServer } from './mariadb-server.ts';
import { TICKS_TABLE } from './writer.ts';

/** Rows that make about one MiB in `shop.orders`. */
const ROWS_PER_MIB = 1_700;

/** Tables of several engines, an index, a view, a routine: what a shop may have. */
const SCHEMA = `
  CREATE DATABASE shop;
  CREATE TABLE shop.customers (id INT PRIMARY KEY, name VARCHAR(80) NOT NULL, KEY (name)) ENGINE=InnoDB;
  CREATE TABLE shop.orders (id INT PRIMARY KEY, customer INT NOT NULL, body VARBINARY(600) NOT NULL, KEY (customer)) ENGINE=InnoDB;
  CREATE TABLE shop.markers (name VARCHAR(40) PRIMARY KEY, at DATETIME(6) NOT NULL DEFAULT NOW(6)) ENGINE=InnoDB;
  CREATE TABLE shop.notes (id INT PRIMARY KEY, body TEXT) ENGINE=MyISAM;
  CREATE TABLE shop.labels (id INT PRIMARY KEY, body TEXT) ENGINE=Aria TRANSACTIONAL=1;
  CREATE VIEW shop.recent AS SELECT id, customer FROM shop.orders ORDER BY id DESC LIMIT 100;
  CREATE PROCEDURE shop.count_orders() SELECT COUNT(*) FROM shop.orders;
  ${TICKS_TABLE};`;

/** Makes the shop and fills `shop.orders` with about `mebibytes`, of which zstd saves somewhat more than half. */
export async function loadShop(server: TestServer, mebibytes: number): Promise<void> {
  // Statements instead of rows: replicas compute the same data themselves, and the binary log stays small.
  await server.sql(`
    SET SESSION binlog_format = STATEMENT;
    ${SCHEMA}
    INSERT INTO shop.customers SELECT seq, CONCAT('customer ', seq) FROM shop.seq_1_to_1000;
    INSERT INTO shop.notes SELECT seq, SHA2(seq, 256) FROM shop.seq_1_to_200;
    INSERT INTO shop.labels SELECT seq, SHA2(seq, 256) FROM shop.seq_1_to_200;`);
  await addOrders(server, mebibytes);
}

/** Adds about `mebibytes` to `shop.orders`. */
async function addOrders(server: TestServer, mebibytes: number): Promise<void> {
  await server.sql(`
    SET SESSION binlog_format = STATEMENT;
    SET @first = (SELECT COALESCE(MAX(id), 0) FROM shop.orders);
    INSERT INTO shop.orders SELECT @first + seq, seq % 1000 + 1,
      CONCAT(SHA2(@first + seq, 512), SHA2(-seq - @first, 512), SHA2(7 * (@first + seq), 512), SHA2(13 * (@first + seq), 512))
      FROM shop.seq_1_to_${Math.max(1, Math.round(mebibytes * ROWS_PER_MIB))};`);
}

/** Writes a row that must, or must not, be there after a restore. */
export const mark = (server: TestServer, name: string): Promise<unknown> =>
  server.sql(`INSERT INTO shop.markers (name) VALUES ('${name}')`);

export const markers = async (server: TestServer): Promise<string[]> =>
  (await server.sql('SELECT name FROM shop.markers ORDER BY name')).map((row) => String(row.name));

/** Numbers that the writer's table holds. */
export const ticks = async (server: TestServer): Promise<number[]> =>
  (await server.sql('SELECT n FROM shop.ticks ORDER BY n')).map((row) => Number(row.n));

/** Tables whose content the client computes for itself: none of the product's own sums is believed. */
const SUMMED = ['customers', 'orders', 'notes', 'labels', 'markers', 'ticks'];

/** CHECKSUM TABLE of all tables of the shop. */
export async function shopChecksums(server: TestServer): Promise<Record<string, string>> {
  const rows = await server.sql(`CHECKSUM TABLE ${SUMMED.map((table) => `shop.${table}`).join(', ')} EXTENDED`);
  return Object.fromEntries(rows.map((row) => [String(row.Table), String(row.Checksum)]));
}

/** Stops the servers and deletes their data directories, binary logs included. */
export async function wipe(servers: readonly TestServer[]): Promise<void> {
  await Promise.all(servers.map((server) => server.stop()));
  for (const { datadir } of servers) rmSync(datadir, { recursive: true });
}

/** Where a replica gets its data from and whether it does: `undefined` when both threads run without an error. */
export async function replicationProblem(server: TestServer): Promise<string | undefined> {
  const [status] = await server.sql('SHOW SLAVE STATUS');
  if (status === undefined) return 'it is no replica';
  const { Slave_IO_Running: io, Slave_SQL_Running: sql, Using_Gtid: gtid, Last_IO_Error: ioError, Last_SQL_Error: sqlError } = status;
  if (io === 'Yes' && sql === 'Yes' && gtid !== 'No') return undefined;
  return `IO ${io}, SQL ${sql}, GTID ${gtid} ${ioError} ${sqlError}`.trim();
}
