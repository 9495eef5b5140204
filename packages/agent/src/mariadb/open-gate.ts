import type { Clock } from '@stillpoint/shared/time';
import { hasLockInfo, lockHolders } from './blockers.ts';
import type { Session } from './session.ts';

/** What stands before the gate of a server, as whoever takes the lock sees it. */
export interface LockGate {
  /** Connections that belong to the gate: they are in nobody's way. */
  readonly connections: readonly number[];
  /** Before the lock is asked for: makes sure that mariadb-backup stands before the gate. Throws HOLD_LOST. */
  prepare(signal: AbortSignal): Promise<void>;
  /** Opens it, to be done while the lock is waited for. What stood before it does not go on yet. Throws HOLD_LOST. */
  open(): Promise<void>;
  /** The lock is granted, on this connection: what stood before the gate goes on. */
  granted(holderId: number): void;
  /**
   * The lock was not granted, or is given back. What stood before the gate stays there if that was not opened, and is ended otherwise, unless it has
   * come to its end. Never throws.
   */
  refused(): void;
}

const LOOK_MS = 4;
/** On a replica that replicates in parallel the lock first waits for what its workers have begun, and is not seen waiting meanwhile. */
const UNSEEN_MS = 20;

/**
 * Opens the gate as soon as nothing else is in the way of the lock, as far as the server tells: for what opens in vain has to be begun anew. Returns when it is
 * open, or is not to be opened any more. Throws HOLD_LOST.
 */
export async function openForLock(gate: LockGate, holderId: number, watcher: Session, clock: Clock, over: AbortSignal): Promise<void> {
  const since = clock.monotonicMs();
  const ours = [holderId, watcher.connectionId, ...gate.connections];
  const exact = await hasLockInfo(watcher);
  const isDue = async (): Promise<boolean> => {
    const pending = await isWaiting(watcher, holderId);
    if (!pending && clock.monotonicMs() - since < UNSEEN_MS) return false;
    return !exact || (await lockHolders(watcher, ours)).length === 0;
  };
  while (!over.aborted) {
    const due = await isDue();
    if (due && !over.aborted) return await gate.open();
    await clock.sleep(LOOK_MS, over).catch(() => undefined);
  }
}

async function isWaiting(watcher: Session, holderId: number): Promise<boolean> {
  const rows = await watcher.query("SELECT 1 FROM information_schema.processlist WHERE id = ? AND state = 'Waiting for backup lock'", [
    holderId,
  ]);
  return rows.length > 0;
}
