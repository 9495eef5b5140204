import { startWriter, type Writer } from '../../harness/writer.ts';
import { importRows } from './bulk-load.ts';
import type { ColumnstoreCluster, ColumnstoreNode } from './cluster.ts';

/** Account of the clients. */
const APP = { user: 'app', password: 'secret-of-app' } as const;

/** Tables of both engines: what a shop that analyses its sales may have. */
const TABLES = [
  'CREATE DATABASE shop',
  `CREATE TABLE shop.sales (id BIGINT, customer INT, amount DECIMAL(12,2), day DATE, note VARCHAR(120)) ENGINE=ColumnStore`,
  'CREATE TABLE shop.returns (id BIGINT, reason VARCHAR(40)) ENGINE=ColumnStore',
  'CREATE TABLE shop.ticks (n BIGINT, at DATETIME(6)) ENGINE=ColumnStore',
  'CREATE TABLE shop.ticks_elsewhere (n BIGINT, at DATETIME(6)) ENGINE=ColumnStore',
  'CREATE TABLE shop.customers (id INT PRIMARY KEY, name VARCHAR(80) NOT NULL) ENGINE=InnoDB',
  'INSERT INTO shop.customers SELECT seq, CONCAT("customer ", seq) FROM shop.seq_1_to_1000',
  `CREATE USER ${APP.user}@'%' IDENTIFIED BY '${APP.password}'`,
  `GRANT SELECT, INSERT, UPDATE, DELETE, LOCK TABLES ON *.* TO ${APP.user}@'%'`,
];

/** Makes the shop, with `sales` loaded by cpimport onto all dbroots and `returns` filled by INSERT; waits until every server knows it. */
export async function makeShop(cluster: ColumnstoreCluster, sales = 30_000): Promise<void> {
  const { primary } = cluster;
  await primary.sql(...TABLES);
  await importRows(primary, { first: 1, rows: sales });
  const returns = Array.from({ length: 100 }, (_, index) => `(${index + 1}, 'reason ${index % 7}')`);
  await primary.sql(`INSERT INTO shop.returns VALUES ${returns.join(', ')}`);
  await cluster.caughtUp();
}

/** A client that inserts single rows into a ColumnStore table of the shop all the time, through the server of this node. */
export const startShopWriter = (node: ColumnstoreNode, table: 'ticks' | 'ticks_elsewhere' = 'ticks', first = 1): Writer =>
  startWriter({ host: node.address, port: 3306, ...APP, table: `shop.${table}`, first, pauseMs: 20 });

/** What a table holds, by the client's own sums: rows, and for each column how many values and the sum of their checksums. */
export type Sums = Readonly<Record<string, string>>;

/** Sums of one table, by a full scan through the server of this node. */
async function tableSums(node: ColumnstoreNode, table: string): Promise<Sums> {
  const [schema = '', name = ''] = table.split('.');
  const columns = await node.sql(
    `SELECT column_name AS name FROM information_schema.columns WHERE table_schema = '${schema}' AND table_name = '${name}'`,
  );
  const sums = columns.flatMap(({ name: column }) => [`COUNT(${column})`, `SUM(CRC32(${column}))`]);
  const [row] = await node.sql(`SELECT COUNT(*), ${sums.join(', ')} FROM ${table}`);
  return Object.fromEntries(Object.entries(row ?? {}).map(([sum, value]) => [sum, String(value)]));
}

/** Sums of all tables of the shop, through the server of this node. */
export async function shopSums(node: ColumnstoreNode): Promise<Readonly<Record<string, Sums>>> {
  const tables = await node.sql(
    "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'shop' AND table_type = 'BASE TABLE'",
  );
  const sums: Record<string, Sums> = {};
  // One after the other: each is a full scan on all nodes.
  for (const { name } of tables) sums[String(name)] = await tableSums(node, `shop.${name}`);
  return sums;
}

/** Numbers that a writer's table holds. */
export const numbers = async (node: ColumnstoreNode, table: 'ticks' | 'ticks_elsewhere' = 'ticks'): Promise<number[]> =>
  (await node.sql(`SELECT n FROM shop.${table} ORDER BY n`)).map(({ n }) => Number(n));

/** How many rows of a table lie on each dbroot. */
export async function rowsByDbroot(node: ColumnstoreNode, table: string, column: string): Promise<Readonly<Record<number, number>>> {
  const rows = await node.sql(`SELECT idbdbroot(${column}) AS dbroot, COUNT(*) AS held FROM ${table} GROUP BY 1`);
  return Object.fromEntries(rows.map(({ dbroot, held }) => [Number(dbroot), Number(held)]));
}
