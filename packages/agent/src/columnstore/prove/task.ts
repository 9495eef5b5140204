import { durationMs } from '@bufbuild/protobuf/wkt';
import { isAbort, StillpointError } from '@stillpoint/shared/errors';
import { sha256Of } from '@stillpoint/shared/manifest';
import type { Agent } from '../../agent.ts';
import { listColumnstoreTables, readyForScans, type Scan, scanTable } from '../../mariadb/columnstore.ts';
import { missingPrivileges } from '../../mariadb/privileges.ts';
import { accountOf, openSession, type Session } from '../../mariadb/session.ts';
import { SqlFailure } from '../../mariadb/sql-failure.ts';
import type { ServerTable } from '../../mariadb/tables.ts';
import { columnstoreTablesOf } from '../../restore/state.ts';
import type { TaskContext, TaskDefinition } from '../../task/types.ts';
import { openEngine } from '../discovery/index.ts';
import { describeLock } from '../engine/lock-words.ts';
import { tableLocks } from '../engine/table-locks.ts';
import { readEngineStatus } from '../suspend/index.ts';
import type { Engine } from '../types.ts';
import { untilReadable } from './readable.ts';

const DEFAULT_TIMEOUT_MS = 120_000;

/**
 * Reads every ColumnStore table whole, through this node's server. The engine's own words prove nothing: with a block resolution manager that
 * is missing on one node it says that it is ready, and cannot read a table.
 * Throws ENGINE_PROOF_FAILED naming table and error, or the tables of the server image that are not there, PRIVILEGE_MISSING when the account cannot see the tables, or what connecting throws.
 */
export const proveEngineTask: TaskDefinition<'proveEngine'> = {
  run: async (agent, { timeout }, task) => {
    const engine = await openEngine(agent.config);
    if (engine === undefined) throw new StillpointError('RESTORE_REFUSED', `There is no ${agent.config.columnstore.config}`);
    const { mariadb } = agent.config;
    if (mariadb === undefined) throw new StillpointError('RESTORE_REFUSED', `No MariaDB server is configured on ${agent.config.node}`);
    const session = await openSession(accountOf(mariadb), task.signal);
    try {
      await requireSelect(session, mariadb.user, task.signal);
      await readyForScans(session, task.signal);
      const tables = await listColumnstoreTables(session, task.signal);
      requireAll(await columnstoreTablesOf(agent.config.stateDir, task.operationId), tables);
      const timeoutMs = timeout === undefined ? DEFAULT_TIMEOUT_MS : durationMs(timeout);
      await untilReadable({ agent, engine, session, tables, timeoutMs }, task.signal);
      const scanned = await scanAll(session, tables, task);
      await requireWritable(engine, agent, task.signal);
      return { result: { case: 'proveEngine', value: { tables: scanned, locks: await locksOf(engine, agent, task) } } };
    } finally {
      await session.close();
    }
  },
};

/** Tables that the account cannot see would be proven by not being looked at. */
async function requireSelect(session: Session, user: string, signal: AbortSignal): Promise<void> {
  const missing = await missingPrivileges(session, 'restore', signal);
  if (!missing.some(({ name }) => name === 'SELECT')) return;
  throw new StillpointError('PRIVILEGE_MISSING', `${user} lacks SELECT, and so cannot read the ColumnStore tables whole`);
}

type TableName = Pick<ServerTable, 'database' | 'table'>;

/** Missing tables that are named. */
const SHOWN = 5;

/** A table whose definition is gone is in no list that the server gives, and would be proven by not being looked at. */
function requireAll(expected: readonly TableName[], found: readonly TableName[]): void {
  const there = new Set(found.map(nameOf));
  const missing = expected.map(nameOf).filter((name) => !there.has(name));
  if (missing.length === 0) return;
  const more = missing.length > SHOWN ? ` and ${missing.length - SHOWN} more` : '';
  throw new StillpointError(
    'ENGINE_PROOF_FAILED',
    `ColumnStore tables of the set are not defined on this server: ${missing.slice(0, SHOWN).join(', ')}${more}`,
  );
}

const nameOf = ({ database, table }: TableName): string => `${database}.${table}`;

interface Scanned {
  readonly database: string;
  readonly table: string;
  readonly rows: bigint;
  readonly digest: string;
}

async function scanAll(session: Session, tables: readonly ServerTable[], { progress, signal }: TaskContext): Promise<Scanned[]> {
  const scanned: Scanned[] = [];
  for (const table of tables) {
    // Progress is in bytes, and what a scan will read is not known.
    progress('scan', 0, 0);
    const scan = await scanTable(session, table, signal).catch((error: unknown) => {
      if (error instanceof SqlFailure) throw unreadable(table, error);
      throw error;
    });
    scanned.push({ database: table.database, table: table.table, rows: scan.rows, digest: digestOf(scan) });
  }
  return scanned;
}

const unreadable = ({ database, table }: ServerTable, error: SqlFailure): StillpointError =>
  new StillpointError('ENGINE_PROOF_FAILED', `${database}.${table} cannot be read whole: ${error.message}`, { cause: error });

/** The same wherever the same values are read. */
const digestOf = ({ rows, columns }: Scan): string =>
  sha256Of(new TextEncoder().encode(JSON.stringify([String(rows), ...columns.map(({ column, by, value }) => [column, by, value])])));

/** It makes itself read-only when a transaction of the image could not be rolled back, or when a file of it is missing. */
async function requireWritable(engine: Engine, { config }: Agent, signal: AbortSignal): Promise<void> {
  const { mode, text } = await readEngineStatus(engine, config.columnstore, signal);
  if (mode === 'read-write') return;
  throw new StillpointError('ENGINE_PROOF_FAILED', `Every table can be read, but the engine is not writable: ${text}`);
}

const LOCKS_MS = 30_000;

async function locksOf(engine: Engine, { clock }: Agent, { signal }: TaskContext): Promise<string[]> {
  try {
    const { locks, unclear } = await tableLocks(engine, { signal, now: clock.now(), timeoutMs: LOCKS_MS });
    return [...locks.map(describeLock), ...(unclear === undefined ? [] : [unclear])];
  } catch (error) {
    if (isAbort(error)) throw error;
    signal.throwIfAborted();
    return [error instanceof Error ? error.message : String(error)];
  }
}
