import type { MemberRole } from '@stillpoint/shared/manifest';

/** What a backup would do, before it does it; shown by `backup create --dry-run`. */
export interface BackupPlan {
  readonly cluster: string;
  readonly nodes: readonly {
    readonly node: string;
    readonly roles: readonly MemberRole[];
    /** How its image is taken, and why in this way. */
    readonly capture: { readonly strategy: 'locked'; readonly reason: string };
    /** Bytes to read. */
    readonly dataBytes: number;
    readonly repository: string;
    readonly freeBytes: number;
  }[];
  /** Steps in order; those of one phase run on all their nodes in parallel. */
  readonly phases: readonly {
    readonly phase: string;
    readonly nodes: readonly string[];
    readonly blocksWriters: boolean;
    readonly bound: string;
  }[];
  readonly lockTimeoutMs: number;
  readonly maxBlockMs: number;
}
