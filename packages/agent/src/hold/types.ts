import type { MariadbPosition, ReplicationSource } from '@stillpoint/shared/proto';
import type { Stand } from '../columnstore/suspend/types.ts';
import type { ServerLock } from '../mariadb/lock.ts';
import type { Snapshots } from '../mariadb/snapshots.ts';

/**
 * A hold as capture and publish see it. They run in the same operation: capture while it is in force,
 * publish after its release.
 */
export interface Hold {
  readonly operationId: string;
  /** The lock on the server; undefined on a node without one. */
  readonly lock: ServerLock | undefined;
  /** Position under the lock. */
  readonly position: MariadbPosition | undefined;
  readonly sources: readonly ReplicationSource[];
  /** Snapshots opened under the lock, for checksums; whoever sums closes them. */
  readonly snapshots: Snapshots | undefined;
  /** The engine since it was suspended under this hold; undefined before, and on a node without one. Dbroots are captured only with it. */
  readonly stand: Stand | undefined;
  /** Aborted, with a StillpointError as reason, at the moment the hold is lost. Not aborted by an ordered release. */
  readonly lost: AbortSignal;
  /** True from granted to released or lost. */
  readonly inForce: boolean;
  /** Milliseconds from asking for the lock to granted. */
  readonly lockWaitMs: number;
  /** Milliseconds from asking for the lock to its release; so far, while in force. */
  readonly blockedMs: number;
}
