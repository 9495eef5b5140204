import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '@stillpoint/shared/errors';
import { GATE_TABLE } from './gate-table.ts';
import { PROBE_TABLE } from './probe.ts';
import type { Session } from './session.ts';

/** Which tables: patterns are database.table with * and ? as wildcards; excludes win; no include means all but the server's own. */
export interface TableSelection {
  readonly include: readonly string[];
  readonly exclude: readonly string[];
}

/** One table with rows of its own: no view, no temporary table. */
export interface ServerTable {
  readonly database: string;
  readonly table: string;
  /** For example InnoDB, Aria, MyISAM; SEQUENCE for a sequence, whatever stores it. */
  readonly engine: string;
  /** Where its files lie in the data directory, without extension. */
  readonly path: string;
}

const SYSTEM_DATABASES = new Set(['mysql', 'sys', 'information_schema', 'performance_schema']);

/** What the selection says about a table. A pattern without a dot means all tables of that database. */
export function isSelected({ include, exclude }: TableSelection, database: string, table: string): boolean {
  const name = `${database}.${table}`;
  const matches = (pattern: string): boolean => patternOf(pattern).test(name);
  if (exclude.some(matches)) return false;
  return include.length === 0 ? !SYSTEM_DATABASES.has(database) : include.some(matches);
}

function patternOf(pattern: string): RegExp {
  const whole = pattern.includes('.') ? pattern : `${pattern}.*`;
  const source = whole
    .replaceAll(/[\\^$+|()[\]{}.]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`, 's');
}

/** Selected tables that the account can see, in order of their names. */
export async function listTables(session: Session, selection: TableSelection, signal?: AbortSignal): Promise<ServerTable[]> {
  // Type and engine come from the definition files alone: the server opens no table for this.
  const rows = await session.query(
    `SELECT table_schema AS db, table_name AS name, table_type AS type, engine,
            CAST(CONVERT(table_schema USING filename) AS BINARY) AS directory, CAST(CONVERT(table_name USING filename) AS BINARY) AS file
       FROM information_schema.tables WHERE table_type IN ('BASE TABLE', 'SYSTEM VERSIONED', 'SEQUENCE')
      ORDER BY table_schema, table_name`,
    [],
    signal,
  );
  return rows
    .map((row) => ({
      database: String(row.db),
      table: String(row.name),
      engine: row.type === 'SEQUENCE' ? 'SEQUENCE' : String(row.engine ?? 'unknown'),
      path: join(String(row.directory), String(row.file)),
    }))
    .filter(({ database, table }) => isSelected(selection, database, table) && !isOwn({ database, table }));
}

/** Stillpoint's own tables hold nothing worth a proof, and the gate is locked for writing now and then. */
const isOwn = ({ database, table }: Pick<ServerTable, 'database' | 'table'>): boolean =>
  [GATE_TABLE, PROBE_TABLE].some((own) => database === own.database && table === own.table);

/** A quoted name for SQL. */
export const quoteName = (name: string): string => `\`${name.replaceAll('`', '``')}\``;

/** `database`.`table` for SQL. */
export const quoteTable = ({ database, table }: { readonly database: string; readonly table: string }): string =>
  `${quoteName(database)}.${quoteName(table)}`;

/**
 * Tells one definition of a table from another: every ALTER, RENAME and re-creation puts another file in place.
 * An open snapshot does not notice all of them: an added column or two tables that swap names give another
 * checksum without an error. Undefined when there is no file.
 */
export async function definitionOf(datadir: string, { path }: ServerTable): Promise<string | undefined> {
  for (const suffix of FRM) {
    try {
      const { ino, mtimeNs, size } = await stat(join(datadir, `${path}${suffix}`), { bigint: true });
      return `${ino}:${mtimeNs}:${size}`;
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') return undefined;
    }
  }
  return undefined;
}

/** The server appends @@@ to names that are devices on Windows, such as aux. */
const FRM = ['.frm', '@@@.frm'];

/** Size of an InnoDB table's file, bytes; 0 when it has none of its own. */
export async function fileBytes(datadir: string, { path }: ServerTable): Promise<number> {
  return stat(join(datadir, `${path}.ibd`)).then(
    ({ size }) => size,
    () => 0,
  );
}
