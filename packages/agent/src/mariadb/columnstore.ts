import type { Session } from './session.ts';
import { SqlFailure } from './sql-failure.ts';
import { listTables, quoteName, quoteTable, type ServerTable } from './tables.ts';

/** True for the engine whose rows lie in dbroots; before 1.4 some tables bear its former name. */
export const isColumnstore = (engine: string): boolean => ['columnstore', 'infinidb'].includes(engine.toLowerCase());

/** The engine's own catalog, which it reads with every query. */
const CATALOG = 'calpontsys';

/** Tables of ColumnStore that the account can see, in order of their names; not those of its catalog. */
export async function listColumnstoreTables(session: Session, signal?: AbortSignal): Promise<ServerTable[]> {
  const tables = await listTables(session, { include: ['*'], exclude: [CATALOG] }, signal);
  return tables.filter(({ engine }) => isColumnstore(engine));
}

/** Settings of the session that would make two servers answer differently, or stop a long scan. Unknown ones are those of other releases. */
const SETTINGS = ["time_zone = '+00:00'", 'max_statement_time = 0', 'columnstore_local_query = 0'];
const UNKNOWN_VARIABLE = 1193;

/** Readies a session for scans. Throws as its queries do. */
export async function readyForScans(session: Session, signal?: AbortSignal): Promise<void> {
  for (const setting of SETTINGS) {
    await session.query(`SET SESSION ${setting}`, [], signal).catch((error: unknown) => {
      if (!(error instanceof SqlFailure && error.errno === UNKNOWN_VARIABLE)) throw error;
    });
  }
}

/** Counts the tables in the engine's catalog: a real query, which needs every process of it. Throws as `Session.query` does. */
export async function readCatalog(session: Session, signal?: AbortSignal): Promise<void> {
  await session.query('SELECT COUNT(*) FROM information_schema.columnstore_tables', [], signal);
}

/** Counts the rows of a table. Throws as `Session.query` does. */
export async function countRows(session: Session, table: ServerTable, signal?: AbortSignal): Promise<void> {
  await session.query(`SELECT COUNT(*) FROM ${quoteTable(table)}`, [], signal);
}

/** What a column said of all its values, whatever the order of the rows. */
export interface ScannedColumn {
  readonly column: string;
  /** The aggregate that was computed: what other types of values allow differs. */
  readonly by: string;
  /** Decimal; `NULL` when no row has a value. */
  readonly value: string;
}

/** A table that was read whole. */
export interface Scan {
  readonly rows: bigint;
  /** In the order of the table. */
  readonly columns: readonly ScannedColumn[];
}

/** Columns that are asked for at once: a row of very many aggregates takes memory for each. */
const AT_ONCE = 16;

/**
 * Reads every value of a table, in the engine itself: a sum over each column that two nodes agree on if and only if, but for collisions, they
 * read the same values. Throws SqlFailure with the engine's words, or as `Session.query` does.
 */
export async function scanTable(session: Session, table: ServerTable, signal?: AbortSignal): Promise<Scan> {
  const columns = await columnsOf(session, table, signal);
  const scanned: ScannedColumn[] = [];
  const counts = new Set<bigint>();
  for (let at = 0; at < columns.length; at += AT_ONCE) {
    const { rows, columns: some } = await scanColumns(session, table, columns.slice(at, at + AT_ONCE), signal);
    counts.add(rows);
    scanned.push(...some);
  }
  const [rows = 0n, ...others] = counts;
  if (others.length === 0) return { rows, columns: scanned };
  throw new SqlFailure(0, `its columns have ${[...counts].join(' and ')} rows`);
}

interface Column {
  readonly name: string;
  readonly type: string;
}

async function columnsOf(session: Session, { database, table }: ServerTable, signal?: AbortSignal): Promise<Column[]> {
  const rows = await session.query(
    'SELECT column_name AS name, data_type AS type FROM information_schema.columns WHERE table_schema = ? AND table_name = ? ORDER BY ordinal_position',
    [database, table],
    signal,
  );
  return rows.map(({ name, type }) => ({ name: String(name), type: String(type).toLowerCase() }));
}

/** Of binary values the engine computes no sum but that of their lengths; it reads them for that all the same. */
const BINARY = /^(?:(?:tiny|medium|long)?blob|(?:var)?binary)$/;
const aggregateOf = ({ type }: Column): string => (BINARY.test(type) ? 'LENGTH' : 'CRC32');

async function scanColumns(session: Session, table: ServerTable, columns: readonly Column[], signal?: AbortSignal): Promise<Scan> {
  const sums = columns.map((column, index) => `SUM(${aggregateOf(column)}(${quoteName(column.name)})) AS s${index}`);
  const [row] = await session.query(`SELECT COUNT(*) AS rows_, ${sums.join(', ')} FROM ${quoteTable(table)}`, [], signal);
  return {
    rows: BigInt(String(row?.rows_ ?? 0)),
    columns: columns.map((column, index) => {
      const value = row?.[`s${index}`];
      return { column: column.name, by: aggregateOf(column), value: value === null || value === undefined ? 'NULL' : String(value) };
    }),
  };
}
