import { StillpointError, toStillpointError } from '@stillpoint/shared/errors';
import type { Clock } from '@stillpoint/shared/time';
import { readSources } from './position.ts';
import { type Account, openSession, type Session } from './session.ts';
import { SQL_ERROR, SqlFailure } from './sql-failure.ts';

/** A second global read lock beside the one of the hold, on a connection of its own: one of the two may go without writers going on. */
export interface SecondLock {
  readonly connectionId: number;
  /**
   * Takes it; to be done while the first one is held. Then it is there within a millisecond, pending writers or not: a read lock is
   * compatible with itself. False where it cannot be had, see `replicatesInParallel`. Throws LOCK_TIMEOUT, SERVER_DOWN, PRIVILEGE_MISSING.
   */
  take(timeoutMs: number): Promise<boolean>;
  /** Aborted when the connection is gone, and with it the lock; also after `release`. */
  readonly gone: AbortSignal;
  /** Lets writers go on, as far as this lock is concerned. Never throws; after it nothing is held. */
  release(): Promise<void>;
}

const PING_MS = 1_000;
const UNLOCK_MS = 2_000;
const GUARD_MS = 500;

/**
 * Connects; nothing is locked yet. The server drops a session that has been silent for `silentMs`, rounded up to seconds; this one asks each
 * second while its process runs. Throws SERVER_DOWN, ACCESS_DENIED or the signal's reason.
 */
export async function openSecondLock(account: Account, silentMs: number, clock: Clock, signal: AbortSignal): Promise<SecondLock> {
  const session = await openSession(account, signal);
  try {
    await session.query(`SET SESSION wait_timeout = ${Math.ceil(silentMs / 1000)}`, [], signal);
  } catch (error) {
    session.destroy();
    throw error;
  }
  void keepAlive(session, silentMs, clock);
  return {
    connectionId: session.connectionId,
    gone: session.gone,
    take: (timeoutMs) => take(session, timeoutMs),
    release: async () => {
      if (session.gone.aborted) return;
      // An answer that does not come destroys the connection, and the lock goes with it.
      await session.query('UNLOCK TABLES', [], AbortSignal.timeout(UNLOCK_MS)).catch(() => undefined);
      await session.close();
    },
  };
}

async function take(session: Session, timeoutMs: number): Promise<boolean> {
  const seconds = (timeoutMs / 1000).toFixed(3);
  try {
    if (await replicatesInParallel(session)) return false;
    const guard = AbortSignal.timeout(timeoutMs + GUARD_MS);
    await session.query(`SET STATEMENT max_statement_time = ${seconds} FOR FLUSH TABLES WITH READ LOCK`, [], guard);
    return true;
  } catch (error) {
    const isLate = error instanceof SqlFailure ? error.errno === SQL_ERROR.STATEMENT_TIMEOUT : error instanceof DOMException;
    if (!isLate) throw error;
    throw new StillpointError('LOCK_TIMEOUT', `The second read lock was not granted within ${timeoutMs} ms, though the first one was`, {
      cause: toStillpointError(error),
    });
  }
}

/**
 * On a replica with worker threads, FLUSH TABLES WITH READ LOCK first waits until every transaction that a worker has begun is committed. The
 * first lock lets them begin and keeps them from committing, so a second one would never be granted (MariaDB 10.11, seen).
 */
async function replicatesInParallel(session: Session): Promise<boolean> {
  const [row] = await session.query('SELECT @@GLOBAL.slave_parallel_threads AS threads');
  return Number(row?.threads) > 0 && (await readSources(session)).length > 0;
}

async function keepAlive(session: Session, silentMs: number, clock: Clock): Promise<void> {
  try {
    for (;;) {
      await clock.sleep(PING_MS, session.gone);
      await session.ping(AbortSignal.timeout(silentMs));
    }
  } catch {
    // Gone, which `gone` tells.
  }
}
