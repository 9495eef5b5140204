import type { MariadbConfig } from '../config/schema.ts';
import { acquireLock, type LockConnections, type LockOptions, openLockConnections, type ServerLock } from '../mariadb/lock.ts';
import { accountOf } from '../mariadb/session.ts';
import { openSnapshots, type SnapshotOptions, type Snapshots } from '../mariadb/snapshots.ts';

/** What a hold needs of the server of its node. */
export interface HoldServer {
  /** See openLockConnections. */
  connect(signal: AbortSignal): Promise<LockConnections>;
  /** See acquireLock. */
  lock(options: LockOptions): Promise<ServerLock>;
  /** See openSnapshots. */
  snapshots(options: SnapshotOptions): Promise<Snapshots>;
}

/** The server that the configuration names; its password is read anew each time. */
export const mariadbServer = (config: MariadbConfig): HoldServer => ({
  connect: async (signal) => openLockConnections(accountOf(config), signal),
  lock: async (options) => acquireLock(accountOf(config), options),
  snapshots: async (options) => openSnapshots(accountOf(config), options),
});
