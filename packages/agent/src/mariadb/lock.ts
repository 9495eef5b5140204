import { type BlockingSession, StillpointError, toStillpointError } from '@stillpoint/shared/errors';
import type { MariadbPosition, ReplicationSource } from '@stillpoint/shared/proto';
import { sameGtidPosition } from '@stillpoint/shared/replication';
import type { Clock } from '@stillpoint/shared/time';
import { findBlockers } from './blockers.ts';
import { type LockGate, openForLock } from './open-gate.ts';
import { formatPosition, readCurrentGtid, readPosition, readSettledPosition, readSources, stoodStill } from './position.ts';
import { type Account, openSession, type Session } from './session.ts';
import { SQL_ERROR, SqlFailure } from './sql-failure.ts';

export interface LockOptions {
  /** How long the lock may be waited for, milliseconds; writers stall meanwhile. */
  readonly timeoutMs: number;
  /** After this many milliseconds (at least 2000, rounded up to seconds) without a sign of life the server drops the holder. */
  readonly leaseMs: number;
  /** The same, where it is to be another time than after which a server that does not answer counts as gone. Default: the lease. */
  readonly silentMs?: number;
  /** Connections that are there already, and are the lock's from now on. Default: new ones. */
  readonly connections?: LockConnections | undefined;
  /** What mariadb-backup stands before; it is prepared. Opened for the lock, and told what becomes of that. Default: there is none. */
  readonly gate?: LockGate | undefined;
  readonly clock: Clock;
  /** Aborting gives up, and leaves nothing pending on the server. */
  readonly signal: AbortSignal;
}

/** Two, because the one that waits for the lock cannot speak: the other one finds blockers, and ends the wait. */
export interface LockConnections {
  readonly holder: Session;
  readonly watcher: Session;
}

/** A position as a backup tool writes it down: its GTID is @@gtid_current_pos, not @@gtid_binlog_pos. */
export interface SeenPosition {
  readonly file: string;
  /** Bytes. */
  readonly offset: bigint;
  readonly gtid: string;
}

/** The global read lock, on a connection that stays open. */
export interface ServerLock {
  readonly connectionId: number;
  /** Position under the lock. */
  readonly position: MariadbPosition;
  /** Replication sources under the lock. */
  readonly sources: readonly ReplicationSource[];
  /** When it was asked for and granted. */
  readonly requestedAt: Date;
  readonly grantedAt: Date;
  /** Milliseconds from asked to granted, by the monotonic clock. */
  readonly waitedMs: number;
  /** Aborted with HOLD_LOST at the moment the connection is found gone; not by release(). */
  readonly lost: AbortSignal;
  /** Asks on the holder's connection. The lock does so itself every second. Throws HOLD_LOST. */
  ping(): Promise<void>;
  /**
   * Proves on the holder's connection that nothing was logged since the lock was granted, and gives `position` once more.
   * Throws HOLD_LOST, or ATTEST_FAILED when the log has moved.
   */
  attest(): Promise<MariadbPosition>;
  /** True when a backup tool that speaks of this position saw the server as it is under the lock. Throws HOLD_LOST. */
  standsAt(seen: SeenPosition): Promise<boolean>;
  /** Lets writers go on. Never throws; after it nothing is held. */
  release(): Promise<void>;
}

/** The server gives up by itself in time; this much later we no longer believe that it will. */
const GUARD_MS = 500;
const FIRST_LOOK_MS = 40;
const NEXT_LOOK_MS = 200;
const PING_MS = 1_000;
const UNLOCK_MS = 2_000;
const GONE_MS = 5_000;
const LOOK_GONE_MS = 5;

/**
 * Takes the global read lock (FLUSH TABLES WITH READ LOCK: of all the locks it alone stops every writer, leaves every
 * reader alone, and freezes a replica's position).
 *
 * Throws LOCK_TIMEOUT with the sessions that were in the way, SERVER_DOWN, ACCESS_DENIED, PRIVILEGE_MISSING, or the
 * signal's reason; nothing is held or pending then.
 */
export async function acquireLock(account: Account, options: LockOptions): Promise<ServerLock> {
  const { clock, leaseMs, signal, silentMs = leaseMs } = options;
  const { holder, watcher } = options.connections ?? (await openLockConnections(account, signal));
  try {
    await holder.query(`SET SESSION wait_timeout = ${Math.max(2, Math.ceil(silentMs / 1000))}`, [], signal);
    const requestedAt = clock.now();
    const requestedMs = clock.monotonicMs();
    await waitForLock(holder, watcher, options);
    options.gate?.granted(holder.connectionId);
    const granted = { requestedAt, grantedAt: clock.now(), waitedMs: clock.monotonicMs() - requestedMs };
    const sources = await readSources(holder, signal);
    const position = sources.length === 0 ? await readPosition(holder, signal) : await readSettledPosition(holder, clock, signal);
    return holdLock(holder, { ...granted, position, sources }, options);
  } catch (error) {
    options.gate?.refused();
    await makeSureGone(holder, watcher, clock);
    throw signal.aborted ? signal.reason : error;
  } finally {
    await watcher.close();
  }
}

/** Connects. Throws SERVER_DOWN, ACCESS_DENIED or the signal's reason. */
export async function openLockConnections(account: Account, signal: AbortSignal): Promise<LockConnections> {
  const holder = await openSession(account, signal);
  try {
    return { holder, watcher: await openSession(account, signal) };
  } catch (error) {
    holder.destroy();
    throw error;
  }
}

/** Asks for the lock and watches out for who is in the way meanwhile. */
async function waitForLock(holder: Session, watcher: Session, { timeoutMs, gate, clock, signal }: LockOptions): Promise<void> {
  const over = new AbortController();
  const stuck = new AbortController();
  const seen: { blockers: readonly BlockingSession[] } = { blockers: [] };
  const ours = [holder.connectionId, watcher.connectionId, ...(gate?.connections ?? [])];
  const looking = lookForBlockers(watcher, ours, clock, over.signal, (blockers) => {
    seen.blockers = blockers;
  });
  const opening = gate === undefined ? undefined : openForLock(gate, holder.connectionId, watcher, clock, over.signal);
  opening?.catch((error: unknown) => stuck.abort(error));
  try {
    // max_statement_time, because it counts in fractions; lock_wait_timeout knows whole seconds only.
    const seconds = Math.max(1, timeoutMs) / 1000;
    const guard = AbortSignal.any([signal, stuck.signal, AbortSignal.timeout(timeoutMs + GUARD_MS)]);
    await holder.query(`SET STATEMENT max_statement_time = ${seconds.toFixed(3)} FOR FLUSH TABLES WITH READ LOCK`, [], guard);
    await opening;
  } catch (error) {
    if (signal.aborted || !isTimeout(error)) throw error;
    const waited = `The global read lock was not granted within ${timeoutMs} ms`;
    const hint = seen.blockers.length === 0 ? NOBODY_NAMED : undefined;
    throw new StillpointError('LOCK_TIMEOUT', `${waited}: ${summary(seen.blockers)}`, { blockers: seen.blockers, hint });
  } finally {
    over.abort();
    await Promise.allSettled([looking, opening]);
  }
}

const NOBODY_NAMED =
  "Try again; with the plugin metadata_lock_info the server tells who is in the way: run INSTALL SONAME 'metadata_lock_info' on it.";

const isTimeout = (error: unknown): boolean =>
  error instanceof SqlFailure
    ? error.errno === SQL_ERROR.STATEMENT_TIMEOUT || error.errno === SQL_ERROR.LOCK_WAIT_TIMEOUT
    : error instanceof DOMException && error.name === 'TimeoutError';

function summary(blockers: readonly BlockingSession[]): string {
  const [first] = blockers;
  if (first === undefined) return 'no session that blocks it could be made out';
  const more = blockers.length === 1 ? '' : ` and ${blockers.length - 1} more`;
  return `in the way was connection ${first.connectionId} of ${first.user}@${first.host}${more}`;
}

async function lookForBlockers(
  watcher: Session,
  ours: readonly number[],
  clock: Clock,
  over: AbortSignal,
  found: (blockers: readonly BlockingSession[]) => void,
): Promise<void> {
  try {
    for (let pause = FIRST_LOOK_MS; ; pause = NEXT_LOOK_MS) {
      await clock.sleep(pause, over);
      const blockers = await findBlockers(watcher, ours);
      if (blockers.length > 0) found(blockers);
    }
  } catch {
    // Over, or the server will not tell: then the timeout is reported without names.
  }
}

/** A connection that waits for the lock, or has it, must not survive the one who wanted it. */
async function makeSureGone(holder: Session, watcher: Session, clock: Clock): Promise<void> {
  const deadline = AbortSignal.timeout(GONE_MS);
  const there = 'SELECT 1 FROM information_schema.processlist WHERE id = ?';
  try {
    await watcher.query(`KILL ${holder.connectionId}`, [], deadline);
  } catch {
    // Gone already, or the server is: either way the question below is what counts.
  }
  holder.destroy();
  try {
    while ((await watcher.query(there, [holder.connectionId], deadline)).length > 0) await clock.sleep(LOOK_GONE_MS);
  } catch {
    // Without an answer nothing more can be done: the socket is closed, and the server drops the session when it notices.
  }
}

type Grant = Pick<ServerLock, 'position' | 'sources' | 'requestedAt' | 'grantedAt' | 'waitedMs'>;

/** The lock in force: keeps itself alive, and says so when it is lost. */
function holdLock(holder: Session, grant: Grant, { clock, leaseMs }: LockOptions): ServerLock {
  const lost = new AbortController();
  const released = new AbortController();
  const loseTo = (why: unknown): StillpointError => {
    const reason = lost.signal.aborted
      ? toStillpointError(lost.signal.reason)
      : new StillpointError('HOLD_LOST', `The connection that held the global read lock is gone: ${toStillpointError(why).message}`);
    if (!released.signal.aborted) lost.abort(reason);
    return reason;
  };
  holder.gone.addEventListener('abort', () => loseTo(holder.gone.reason), { once: true });

  const ask = async <T>(question: (deadline: AbortSignal) => Promise<T>): Promise<T> => {
    try {
      // A server that does not answer for a whole lease cannot be told from one that has let go.
      return await question(AbortSignal.timeout(leaseMs));
    } catch (error) {
      // Refused by a server that still answers: no proof, but no loss either.
      if (error instanceof SqlFailure) throw new StillpointError('ATTEST_FAILED', `The holder of the lock was refused: ${error.message}`);
      if (error instanceof StillpointError && error.code === 'PRIVILEGE_MISSING') throw error;
      throw loseTo(error);
    }
  };
  const ping = (): Promise<void> => ask((deadline) => holder.ping(deadline));
  void keepAlive(ping, Math.min(PING_MS, leaseMs / 3), clock, AbortSignal.any([released.signal, lost.signal]));

  return {
    ...grant,
    connectionId: holder.connectionId,
    lost: lost.signal,
    ping,
    standsAt: (seen) =>
      ask(async (deadline) => {
        const { file, offset, gtid } = seen;
        if (!sameGtidPosition(gtid, await readCurrentGtid(holder, deadline))) return false;
        return stoodStill(holder, grant.position, { ...grant.position, file, offset }, deadline);
      }),
    attest: async () => {
      const now = await ask((deadline) => readPosition(holder, deadline));
      if (await ask((deadline) => stoodStill(holder, grant.position, now, deadline))) return grant.position;
      const moved = `from ${formatPosition(grant.position)} to ${formatPosition(now)}`;
      throw new StillpointError('ATTEST_FAILED', `The log of the server moved under the lock, ${moved}`);
    },
    release: async () => {
      if (released.signal.aborted) return;
      released.abort();
      // An answer that does not come destroys the connection, and the lock goes with it.
      await holder.query('UNLOCK TABLES', [], AbortSignal.timeout(UNLOCK_MS)).catch(() => undefined);
      await holder.close();
    },
  };
}

async function keepAlive(ping: () => Promise<void>, everyMs: number, clock: Clock, over: AbortSignal): Promise<void> {
  try {
    for (;;) {
      await clock.sleep(everyMs, over);
      await ping();
    }
  } catch {
    // Over: released, or lost and told so.
  }
}
