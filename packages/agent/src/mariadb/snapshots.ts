import type { TableChecksum, UnprovenTable } from '@stillpoint/shared/manifest';
import type { Account } from './session.ts';

/** Which tables to sum. Patterns are database.table with * and ? as wildcards; excludes win; no include means all but the server's own. */
export interface TableSelection {
  readonly include: readonly string[];
  readonly exclude: readonly string[];
}

export interface SnapshotOptions extends TableSelection {
  /** Connections that sum in parallel; 0 means 2. */
  readonly connections: number;
  readonly signal: AbortSignal;
}

/** What summing gave. */
export interface Sums {
  readonly checksums: readonly TableChecksum[];
  readonly unproven: readonly UnprovenTable[];
}

/** Snapshots of the server at the cut, on connections of their own. */
export interface Snapshots {
  /** Tables that will be summed. */
  readonly tables: number;
  /** Sums every selected table at the cut; may be called once, after the lock was released or before. */
  sum(signal: AbortSignal, progress?: (tablesDone: number, tablesTotal: number) => void): Promise<Sums>;
  /** Drops the snapshots. Safe to call at any time and twice. */
  close(): Promise<void>;
}

/** Opens the snapshots. To be called while the lock is held: they show the cut only then. */
export declare function openSnapshots(account: Account, options: SnapshotOptions): Promise<Snapshots>;
