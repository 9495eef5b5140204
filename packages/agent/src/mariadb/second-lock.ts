import { StillpointError, toStillpointError } from '@stillpoint/shared/errors';
import type { Clock } from '@stillpoint/shared/time';
import { type Account, openSession, type Session } from './session.ts';
import { SQL_ERROR, SqlFailure } from './sql-failure.ts';

/** A second global read lock beside the one of the hold, on a connection of its own: one of the two may go without writers going on. */
export interface SecondLock {
  readonly connectionId: number;
  /**
   * Takes it; to be done while the first one is held. Then it is there within a millisecond, pending writers or not: a read lock is
   * compatible with itself. Throws LOCK_TIMEOUT, SERVER_DOWN, PRIVILEGE_MISSING.
   */
  take(timeoutMs: number): Promise<void>;
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

async function take(session: Session, timeoutMs: number): Promise<void> {
  const seconds = (timeoutMs / 1000).toFixed(3);
  try {
    const guard = AbortSignal.timeout(timeoutMs + GUARD_MS);
    await session.query(`SET STATEMENT max_statement_time = ${seconds} FOR FLUSH TABLES WITH READ LOCK`, [], guard);
  } catch (error) {
    const isLate = error instanceof SqlFailure ? error.errno === SQL_ERROR.STATEMENT_TIMEOUT : error instanceof DOMException;
    if (!isLate) throw error;
    throw new StillpointError('LOCK_TIMEOUT', `The second read lock was not granted within ${timeoutMs} ms, though the first one was`, {
      hint: 'Does the server replicate in parallel (slave_parallel_threads)? See packages/agent/src/guardian/README.md.',
      cause: toStillpointError(error),
    });
  }
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
