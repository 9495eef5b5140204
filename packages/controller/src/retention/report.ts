import type { StillpointError } from '@stillpoint/shared/errors';
import type { RetainedSet } from './policy.ts';

/** A node that was left out, and why. */
export interface SilentNode {
  readonly node: string;
  readonly error: StillpointError;
}

/** What became of one set. */
export interface PrunedSet {
  readonly setId: string;
  readonly cutAt: string;
  readonly state: RetainedSet['state'] | 'failed';
  /** `kept`; `removed` from all nodes, or to be removed; `begun`: some nodes still hold a share, and the next run goes on. */
  readonly outcome: 'kept' | 'removed' | 'begun';
  /** A few words each. */
  readonly reasons: readonly string[];
  /** Bytes given back on all nodes; those that are stored when nothing was touched. */
  readonly bytes: number;
  /** Why nodes still hold a share of it, a sentence each. */
  readonly problems: readonly string[];
}

/** What retention did, or would do. */
export interface PruneReport {
  /** Empty when nothing was touched. */
  readonly operationId: string;
  readonly dryRun: boolean;
  /** Newest first. */
  readonly sets: readonly PrunedSet[];
  readonly silent: readonly SilentNode[];
}

/** How a set was marked as protected, or no longer. */
export interface ProtectReport {
  readonly setId: string;
  readonly protect: boolean;
  /** Nodes whose repository has, or has no longer, the mark. */
  readonly nodes: readonly string[];
  /** Nodes of the set that could not be told. */
  readonly silent: readonly SilentNode[];
}

/** Something that a dead operation left behind on a node. */
export interface FoundLeftover {
  readonly node: string;
  readonly kind: 'part' | 'deleted-set' | 'scratch' | 'restore' | 'precopied' | 'other';
  readonly path: string;
  readonly bytes: number;
  readonly changedAt: string;
  /** Whose it was, a sentence. */
  readonly reason: string;
  /** Why it is not removed, a sentence; empty when it may be. */
  readonly staysBecause: string;
  readonly removed: boolean;
}

/** What cleaning did, or would do. */
export interface CleanReport {
  /** Empty when nothing was touched. */
  readonly operationId: string;
  readonly dryRun: boolean;
  readonly leftovers: readonly FoundLeftover[];
  /** Deletions that an earlier run could not bring to their end. */
  readonly deletions: readonly PrunedSet[];
  /** Sets that have lost a share: told, never removed. */
  readonly lost: readonly { readonly setId: string; readonly reason: string }[];
  readonly silent: readonly SilentNode[];
}

export interface CleanRequest {
  /** What was changed since so many milliseconds is passed over; default: that of the configuration. */
  readonly olderThanMs?: number;
  /** Look only. */
  readonly dryRun: boolean;
}
