import { StillpointError, toStillpointError } from '@stillpoint/shared/errors';
import type { Clock } from '@stillpoint/shared/time';
import { findBlockers } from './blockers.ts';
import { GATE_TABLE } from './gate-table.ts';
import { type Account, openSession, type Session } from './session.ts';
import { SQL_ERROR, SqlFailure } from './sql-failure.ts';
import { quoteTable } from './tables.ts';

/** The gate, closed: a write lock on Stillpoint's own table, on a connection of its own. mariadb-backup comes as far as BACKUP STAGE BLOCK_DDL. */
export interface ClosedGate {
  readonly connectionId: number;
  /** Aborted when the connection is gone, and with it the lock; also after `open`. */
  readonly gone: AbortSignal;
  /** Opens it. Throws HOLD_LOST when it was not closed all the time. */
  open(): Promise<void>;
  /** Opens it, come what may. Never throws. */
  drop(): void;
}

/** The server drops connections of an agent that has been silent for so long, seconds; it asks each second while its process runs. */
const SILENT_SECONDS = 5;
const PING_MS = 1_000;
/** How long the lock on the table may be waited for, seconds. */
const LOCK_SECONDS = 5;
const UNLOCK_MS = 2_000;

/**
 * Closes the gate. To be done when mariadb-backup has BACKUP STAGE START: before, it would keep it from having that.
 * Throws LOCK_TIMEOUT, CHECK_FAILED, PRIVILEGE_MISSING, SERVER_DOWN, ACCESS_DENIED or the signal's reason; the gate is open then.
 */
export async function closeGate(account: Account, clock: Clock, signal: AbortSignal): Promise<ClosedGate> {
  const session = await openSession(account, signal);
  try {
    await session.query(`SET SESSION wait_timeout = ${SILENT_SECONDS}, SESSION lock_wait_timeout = ${LOCK_SECONDS}`, [], signal);
    await session.query(`LOCK TABLES ${quoteTable(GATE_TABLE)} WRITE`, [], signal);
  } catch (error) {
    session.destroy();
    if (!(error instanceof SqlFailure)) throw error;
    if (error.errno === SQL_ERROR.LOCK_WAIT_TIMEOUT)
      throw new StillpointError('LOCK_TIMEOUT', `The gate could not be closed within ${LOCK_SECONDS} s`, {
        cause: toStillpointError(error),
      });
    const hint = 'Run the SQL that `stillpoint agent grants` prints, or use `--capture locked`.';
    throw new StillpointError('CHECK_FAILED', `The gate cannot be closed: ${error.message}`, { hint });
  }
  void keepAlive(session, clock);
  return {
    connectionId: session.connectionId,
    gone: session.gone,
    open: async () => {
      try {
        await session.query('UNLOCK TABLES', [], AbortSignal.timeout(UNLOCK_MS));
      } catch (error) {
        throw new StillpointError('HOLD_LOST', `The gate was not closed all the time: ${toStillpointError(error).message}`);
      } finally {
        session.destroy();
      }
    },
    drop: () => session.destroy(),
  };
}

async function keepAlive(session: Session, clock: Clock): Promise<void> {
  try {
    for (;;) {
      await clock.sleep(PING_MS, session.gone);
      await session.ping(AbortSignal.timeout(SILENT_SECONDS * 1_000));
    }
  } catch {
    // Gone, which `gone` tells.
  }
}

const WAITING = 'Waiting for backup lock';

/** The connection on which mariadb-backup stands before the gate; undefined when none does. There is no other one: a stage has one owner. Needs PROCESS. */
export async function waitingAtGate(session: Session, signal?: AbortSignal): Promise<number | undefined> {
  const [row] = await session.query(
    `SELECT id FROM information_schema.processlist WHERE state = ? AND info LIKE 'BACKUP STAGE BLOCK\\_DDL%'`,
    [WAITING],
    signal,
  );
  return row === undefined ? undefined : Number(row.id);
}

/** Connections of clients that are kept waiting by what stands before the gate, or has passed it. Needs PROCESS. */
export async function stalledClients(session: Session, signal?: AbortSignal): Promise<readonly number[]> {
  const rows = await session.query(
    `SELECT id FROM information_schema.processlist WHERE state = ? AND COALESCE(info, '') NOT LIKE 'BACKUP STAGE %'`,
    [WAITING],
    signal,
  );
  return rows.map((row) => Number(row.id));
}

/** Connections of the agent's own account on which mariadb-backup is kept waiting for one of its stages. Needs PROCESS. */
export async function waitingTools(session: Session, signal?: AbortSignal): Promise<readonly number[]> {
  const rows = await session.query(
    `SELECT id FROM information_schema.processlist WHERE state = ? AND info LIKE 'BACKUP STAGE %' AND user = SUBSTRING_INDEX(USER(), '@', 1)`,
    [WAITING],
    signal,
  );
  return rows.map((row) => Number(row.id));
}

/** Who keeps mariadb-backup from getting its first stage, for an error. Throws SERVER_DOWN or the signal's reason. */
export const inTheWayOfStages = (session: Session, signal?: AbortSignal): ReturnType<typeof findBlockers> =>
  findBlockers(session, [session.connectionId], signal);

/** Ends a connection of the agent's own account at once, with its locks. Never throws; one that is gone is no error. */
export async function cutConnection(by: Session, connectionId: number): Promise<void> {
  await by.query(`KILL ${connectionId}`, [], AbortSignal.timeout(CUT_MS)).catch(() => undefined);
}

const CUT_MS = 2_000;

/** What the server does when an agent is gone. */
export interface DeadMansCut {
  readonly connectionId: number;
  /** Calls it off; does not wait for that. */
  callOff(by: Session): void;
}

/** How soon the server notices, seconds. */
const NOTICE_SECONDS = 0.5;

/**
 * Lets the server itself cut a connection of the agent's own account as soon as `watcher` (see openWatcher) is gone: an agent that is frozen could not.
 * Throws SERVER_DOWN, ACCESS_DENIED or the signal's reason.
 */
export async function cutWithout(watcher: Session, account: Account, connectionId: number, signal: AbortSignal): Promise<DeadMansCut> {
  const session = await openSession(account, signal);
  try {
    await session.query('SET SESSION max_statement_time = 0', [], signal);
  } catch (error) {
    session.destroy();
    throw error;
  }
  const isThere = `EXISTS (SELECT 1 FROM information_schema.processlist WHERE id = ${watcher.connectionId})`;
  // Seen by whoever looks at what runs on the server.
  const statement = `BEGIN NOT ATOMIC /* Stillpoint: ends mariadb-backup when its agent is gone */ WHILE ${isThere} DO DO SLEEP(${NOTICE_SECONDS}); END WHILE; KILL ${connectionId}; END`;
  session.query(statement).catch(() => undefined);
  return {
    connectionId: session.connectionId,
    callOff: (by) => void cutConnection(by, session.connectionId).finally(() => session.destroy()),
  };
}

/** A connection that the server drops when this process is silent for some seconds. Throws SERVER_DOWN, ACCESS_DENIED or the signal's reason. */
export async function openWatcher(account: Account, clock: Clock, signal: AbortSignal): Promise<Session> {
  const session = await openSession(account, signal);
  try {
    await session.query(`SET SESSION wait_timeout = ${SILENT_SECONDS}`, [], signal);
  } catch (error) {
    session.destroy();
    throw error;
  }
  void keepAlive(session, clock);
  return session;
}
