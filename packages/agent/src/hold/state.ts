import type { StillpointError } from '@stillpoint/shared/errors';
import type { ServerLock } from '../mariadb/lock.ts';
import type { Snapshots } from '../mariadb/snapshots.ts';

/** What was granted. */
export interface Granted {
  /** Undefined on a node without a MariaDB server. */
  readonly lock: ServerLock | undefined;
  readonly snapshots: Snapshots | undefined;
}

/** Where a hold stands. It goes from top to bottom and never back. */
export type HoldState =
  /** The lock was asked for. Writers may stall. */
  | { readonly name: 'acquiring' }
  /** The lock is in force, under its bounds. */
  | { readonly name: 'held'; readonly granted: Granted }
  /** It was let go as asked. */
  | { readonly name: 'released'; readonly granted: Granted; readonly blockedMs: number }
  /** It could not be taken, or the agent let go by itself, or the server took the lock away. */
  | { readonly name: 'lost'; readonly granted: Granted | undefined; readonly blockedMs: number; readonly error: StillpointError };

const NEXT: Readonly<Record<HoldState['name'], readonly HoldState['name'][]>> = {
  acquiring: ['held', 'lost'],
  held: ['released', 'lost'],
  released: [],
  lost: [],
};

/** Whether one state may follow another. Where it may not, someone else was quicker, and what he did stands. */
export const mayFollow = (from: HoldState, to: HoldState): boolean => NEXT[from.name].includes(to.name);
