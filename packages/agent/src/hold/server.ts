import type { Clock } from '@stillpoint/shared/time';
import type { MariadbConfig } from '../config/schema.ts';
import { acquireLock, type LockConnections, type LockOptions, openLockConnections, type ServerLock } from '../mariadb/lock.ts';
import { type Probe, startProbe } from '../mariadb/probe.ts';
import { accountOf } from '../mariadb/session.ts';
import { openSnapshots, type SnapshotOptions, type Snapshots } from '../mariadb/snapshots.ts';

/** What a hold needs of the server of its node. */
export interface HoldServer {
  /** See openLockConnections. */
  connect(signal: AbortSignal): Promise<LockConnections>;
  /** See acquireLock. */
  lock(options: LockOptions): Promise<ServerLock>;
  /** See startProbe. */
  probe(everyMs: number, clock: Clock, signal: AbortSignal): Promise<Probe | undefined>;
  /** See openSnapshots. */
  snapshots(options: SnapshotOptions): Promise<Snapshots>;
}

/** The server that the configuration names; its password is read anew each time. */
export const mariadbServer = (config: MariadbConfig): HoldServer => ({
  connect: async (signal) => openLockConnections(accountOf(config), signal),
  lock: async (options) => acquireLock(accountOf(config), options),
  probe: async (everyMs, clock, signal) => startProbe(accountOf(config), everyMs, clock, signal),
  snapshots: async (options) => openSnapshots(accountOf(config), options),
});
