import type { TableChecksum, UnprovenTable } from '@stillpoint/shared/manifest';
import { type Sum, type Sums, sumTable } from './checksums.ts';
import { isColumnstore } from './columnstore.ts';
import { type Account, openSession, type Session } from './session.ts';
import { definitionOf, fileBytes, listTables, type ServerTable, type TableSelection } from './tables.ts';

export interface SnapshotOptions extends TableSelection {
  /** Connections that sum in parallel; 0 means 2. */
  readonly connections: number;
  readonly signal: AbortSignal;
}

/** Snapshots of the server at the cut, on connections of their own. */
export interface Snapshots {
  /** Tables that were selected. */
  readonly tables: number;
  /** Sums every selected table at the cut, after the lock was released or before; once. Closes the snapshots. */
  sum(signal: AbortSignal, progress?: (bytesDone: number, bytesTotal: number) => void): Promise<Sums>;
  /** Drops the snapshots. Safe to call at any time and twice. */
  close(): Promise<void>;
}

/**
 * Tables without snapshots (all but InnoDB) can only be summed while the lock is held, at the expense of writers. So
 * together they may have this many bytes, and be this many; what is beyond stays unproven.
 */
const LOCKED_BYTES = 16 * 1024 * 1024;
const LOCKED_TABLES = 500;

/** Engines whose rows lie in files of the data directory, so that they are in the backup. */
const SUMMED_UNDER_LOCK = new Set(['Aria', 'MyISAM', 'CSV', 'ARCHIVE', 'MRG_MyISAM', 'SEQUENCE']);

/** Their rows lie in dbroots; a sum of them by the server would keep writers waiting, row by row. */
const PROVEN_OTHERWISE = 'proven by hashes and by a full scan after the restore';

/** Long enough for any capture and any sum; a connection whose agent has died is dropped at once anyway. */
const IDLE_SECONDS = 24 * 3600;

/** A table that InnoDB keeps a snapshot of, and which definition it had at the cut. */
interface WatchedTable {
  readonly table: ServerTable;
  readonly definition: string | undefined;
}

/**
 * Opens the snapshots, and sums what has none. To be called while the lock is held: only then is what they show the cut.
 * Throws SERVER_DOWN, ACCESS_DENIED, or the signal's reason.
 */
export async function openSnapshots(account: Account, options: SnapshotOptions): Promise<Snapshots> {
  const { signal } = options;
  const sessions: Session[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(sessions.map((session) => session.close()));
  };
  try {
    for (let i = 0; i < (options.connections || 2); i++) sessions.push(await openSnapshot(account, signal));
    const [first] = sessions as [Session, ...Session[]];
    const [variable] = await first.query('SELECT @@GLOBAL.datadir AS datadir', [], signal);
    const datadir = String(variable?.datadir);
    const tables = await listTables(first, options, signal);
    const watched = await Promise.all(
      tables
        .filter(({ engine }) => engine === 'InnoDB')
        .map(async (table): Promise<WatchedTable> => ({ table, definition: await definitionOf(datadir, table) })),
    );
    const others = await sumOthers(
      first,
      tables.filter(({ engine }) => engine !== 'InnoDB'),
      signal,
    );
    return {
      tables: tables.length,
      sum: async (abort, progress) => {
        try {
          return sorted([...others, ...(await sumWatched(sessions, datadir, watched, abort, progress))]);
        } finally {
          await close();
        }
      },
      close,
    };
  } catch (error) {
    for (const session of sessions) session.destroy();
    throw error;
  }
}

async function openSnapshot(account: Account, signal: AbortSignal): Promise<Session> {
  const session = await openSession(account, signal);
  try {
    await session.query(
      `SET SESSION wait_timeout = ${IDLE_SECONDS}, idle_transaction_timeout = 0, idle_readonly_transaction_timeout = 0, max_statement_time = 0`,
      [],
      signal,
    );
    await session.query('SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ', [], signal);
    await session.query('START TRANSACTION WITH CONSISTENT SNAPSHOT', [], signal);
    return session;
  } catch (error) {
    session.destroy();
    throw error;
  }
}

type Outcome = readonly [ServerTable, Sum];

/** Sums tables without snapshots under the lock, smallest first, as far as the bounds allow. */
async function sumOthers(session: Session, tables: readonly ServerTable[], signal: AbortSignal): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  const sized: { table: ServerTable; bytes: number }[] = [];
  for (const table of tables) {
    if (isColumnstore(table.engine)) outcomes.push([table, { reason: PROVEN_OTHERWISE }]);
    else if (!SUMMED_UNDER_LOCK.has(table.engine)) outcomes.push([table, { reason: `tables of engine ${table.engine} are not summed` }]);
    else if (sized.length >= LOCKED_TABLES) outcomes.push([table, { reason: `more than ${LOCKED_TABLES} tables are not InnoDB` }]);
    else sized.push({ table, bytes: await dataBytes(session, table, signal) });
  }
  let left = LOCKED_BYTES;
  for (const { table, bytes } of sized.sort((a, b) => a.bytes - b.bytes)) {
    left -= bytes;
    const reason = `${table.engine} tables have no snapshot, and this one is too large to be summed while writers wait`;
    outcomes.push([table, left < 0 ? { reason } : await sumTable(session, table, signal)]);
  }
  return outcomes;
}

async function dataBytes(session: Session, { database, table }: ServerTable, signal: AbortSignal): Promise<number> {
  // Two equalities: the server then opens this one table and no other.
  const [row] = await session.query(
    'SELECT data_length AS bytes FROM information_schema.tables WHERE table_schema = ? AND table_name = ?',
    [database, table],
    signal,
  );
  return Number(row?.bytes ?? 0);
}

/** Sums InnoDB tables on all snapshots, the largest first so that no connection is left alone with it in the end. */
async function sumWatched(
  sessions: readonly Session[],
  datadir: string,
  watched: readonly WatchedTable[],
  signal: AbortSignal,
  progress?: (bytesDone: number, bytesTotal: number) => void,
): Promise<Outcome[]> {
  const sized = await Promise.all(watched.map(async (one) => ({ ...one, bytes: await fileBytes(datadir, one.table) })));
  const queue = sized.sort((a, b) => b.bytes - a.bytes);
  const total = queue.reduce((sum, { bytes }) => sum + bytes, 0);
  const outcomes: Outcome[] = [];
  let done = 0;
  await Promise.all(
    sessions.map(async (session) => {
      // A lost snapshot must not drain the queue.
      while (!session.gone.aborted) {
        const next = queue.shift();
        if (next === undefined) return;
        progress?.(done, total);
        outcomes.push([next.table, await sumAtCut(session, datadir, next, signal)]);
        done += next.bytes;
      }
    }),
  );
  for (const { table } of queue) outcomes.push([table, { reason: LOST }]);
  progress?.(total, total);
  return outcomes;
}

const LOST = 'the connection with its snapshot was lost';

async function sumAtCut(session: Session, datadir: string, { table, definition }: WatchedTable, signal: AbortSignal): Promise<Sum> {
  if (definition === undefined) return { reason: 'its definition file cannot be read, so a change of it after the cut would go unnoticed' };
  try {
    const sum = await sumTable(session, table, signal);
    const same = (await definitionOf(datadir, table)) === definition;
    return same || 'reason' in sum ? sum : { reason: 'it was altered or renamed after the cut' };
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (session.gone.aborted) return { reason: LOST };
    throw error;
  }
}

function sorted(outcomes: readonly Outcome[]): Sums {
  const checksums: TableChecksum[] = [];
  const unproven: UnprovenTable[] = [];
  const name = ([{ database, table }]: Outcome): string => `${database}\0${table}`;
  for (const [{ database, table, engine }, sum] of outcomes.toSorted((a, b) => (name(a) < name(b) ? -1 : 1))) {
    if ('checksum' in sum) checksums.push({ database, table, engine, checksum: sum.checksum });
    else unproven.push({ database, table, reason: sum.reason, engine });
  }
  return { checksums, unproven };
}
