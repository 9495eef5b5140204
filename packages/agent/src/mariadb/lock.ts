import type { MariadbPosition, ReplicationSource } from '@stillpoint/shared/proto';
import type { Clock } from '@stillpoint/shared/time';
import type { Account } from './session.ts';

export interface LockOptions {
  /** How long the lock may be waited for, milliseconds; writers stall meanwhile. */
  readonly timeoutMs: number;
  /** After this many milliseconds (at least 2000, rounded up to seconds) without a sign of life the server drops the holder. */
  readonly leaseMs: number;
  readonly clock: Clock;
  /** Aborting gives up, and leaves nothing pending on the server. */
  readonly signal: AbortSignal;
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
  /** Position now, asked on the holder's connection. Throws HOLD_LOST, or ATTEST_FAILED when the log has moved. */
  attest(): Promise<MariadbPosition>;
  /** Lets writers go on. Never throws; after it nothing is held. */
  release(): Promise<void>;
}

/**
 * Takes the global read lock.
 * Throws LOCK_TIMEOUT with the blocking sessions, SERVER_DOWN, ACCESS_DENIED, PRIVILEGE_MISSING, or the signal's reason; nothing is held
 * or pending then.
 */
export declare function acquireLock(account: Account, options: LockOptions): Promise<ServerLock>;
