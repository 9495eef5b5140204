import type { Clock } from '@stillpoint/shared/time';
import type { AgentPool } from './agents/pool.ts';
import type { Catalog } from './catalog/catalog.ts';
import type { ClusterConfig } from './config/schema.ts';
import type { Database } from './journal/database.ts';
import type { Journal } from './journal/journal.ts';
import type { Plans } from './journal/plans.ts';

/** What the controller remembers, in its state directory. */
export interface Store {
  readonly db: Database;
  readonly journal: Journal;
  readonly catalog: Catalog;
  readonly plans: Plans;
}

/** Where the controller writes what its user need not see; a pino logger fits. */
export interface ControllerLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** What every part of the controller works with. */
export interface ControllerContext {
  readonly config: ClusterConfig;
  readonly clock: Clock;
  readonly log: ControllerLog;
  readonly agents: AgentPool;
  /** Opened on first use: looking at the cluster needs no database. Throws CATALOG_UNUSABLE. */
  readonly store: Store;
}
