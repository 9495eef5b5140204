import type { StillpointError } from '@stillpoint/shared/errors';
import type { PartManifest, SetManifest } from '@stillpoint/shared/manifest';
import type { CheckResult, NodeFacts } from '@stillpoint/shared/proto';
import type { BackupSettings } from './config/schema.ts';
import type { Observer } from './events.ts';
import type { BackupPlan } from './plan/backup.ts';
import type { RestorePlan } from './plan/restore.ts';
import type { RetentionRules } from './retention/policy.ts';
import type { CleanReport, CleanRequest, ProtectReport, PruneReport } from './retention/report.ts';

/** One node's answer, or why there is none. */
export interface NodeReport {
  readonly node: string;
  readonly address: string;
  readonly facts?: NodeFacts;
  readonly error?: StillpointError;
}

/** The checks of one node, or why there are none. */
export interface NodeChecks {
  readonly node: string;
  readonly results: readonly CheckResult[];
  readonly error?: StillpointError;
}

/** Looks at the whole cluster: per node, and across nodes (names, versions, server ids, clocks). */
export interface ClusterChecks {
  readonly nodes: readonly NodeChecks[];
  readonly cluster: readonly CheckResult[];
  /** True when no check failed on any node. */
  readonly ok: boolean;
}

/** What every call that runs an operation takes. */
export interface RunOptions {
  readonly signal: AbortSignal;
  readonly observe: Observer;
}

/** How an operation in the catalog ended; `running` may also mean that its controller died (see `owner`). */
export type OperationState = 'running' | 'succeeded' | 'failed' | 'cancelled' | 'interrupted';

/** How a set stands. */
export type SetState = 'good' | 'incomplete' | 'failed';

/** A line of `backup list`. */
export interface SetSummary {
  readonly setId: string;
  readonly operationId: string;
  /**
   * `good`: whole. `incomplete`: it was, and some nodes have lost their share; the others can be restored from it. `failed` ones
   * hold nothing that can be restored.
   */
  readonly state: SetState;
  readonly cutAt: string;
  readonly nodes: readonly string[];
  readonly storedBytes: number;
  readonly dataBytes: number;
  /** Set that it was made as an increment of; empty for a full one. */
  readonly parent?: string;
  /** Longest wait of writers on any node, ms. */
  readonly blockedMs: number;
  /** Why it is not good; empty when it is. */
  readonly reason: string;
  /** Whether a node has it marked as protected: then it is not deleted. */
  readonly isProtected: boolean;
}

/** A set with the parts that could be read. */
export interface SetDetail {
  readonly set: SetManifest;
  /** Whether a node has it marked as protected: then it is not deleted. */
  readonly isProtected: boolean;
  readonly parts: readonly { readonly node: string; readonly part?: PartManifest; readonly error?: StillpointError }[];
}

/** How the engine came back on one node after the still point. */
export interface EngineResume {
  readonly node: string;
  /** Until it was seen read-write again, ms; absent when nothing was told. */
  readonly ms?: number;
  /** Table locks that were there afterwards, a sentence each, with what to do. */
  readonly stuckLocks: readonly string[];
  /** RESUME_FAILED, when it was not seen read-write again. */
  readonly failure?: StillpointError;
}

/**
 * How a backup went. A set is good by what was attested before the resume, so an engine that does not come back does not void it: the
 * report tells it, and the command line does not end well.
 */
export interface BackupReport {
  readonly operationId: string;
  readonly set: SetManifest;
  readonly elapsedMs: number;
  /** One for each node of the engine; none without ColumnStore. */
  readonly engine: readonly EngineResume[];
  /** What retention did afterwards; absent when none is configured, or nothing came of it, which a warning tells. */
  readonly pruned?: PruneReport;
}

/** How `backup verify` went. */
export interface VerifyReport {
  readonly setId: string;
  readonly ok: boolean;
  readonly nodes: readonly {
    readonly node: string;
    readonly bytes: number;
    readonly problems: readonly string[];
    /** Why the content of encrypted files was not looked at, a sentence; absent when all of it was. Their bytes were compared all the same. */
    readonly unopened?: string;
  }[];
}

export interface DeleteReport {
  readonly setId: string;
  readonly freedBytes: number;
}

/** Where a restore stands. `refused`: it ended before it touched a node. `switched`: the new data is in place, and going back is still a rename. */
export type RestoreState = 'running' | 'refused' | 'failed' | 'interrupted' | 'switched' | 'rolled-back' | 'finished';

export interface RestoreSummary {
  readonly operationId: string;
  readonly planId: string;
  readonly setId: string;
  readonly state: RestoreState;
  readonly startedAt: string;
  readonly reason: string;
}

/** How a restore went, per node. */
export interface RestoreReport {
  readonly operationId: string;
  readonly setId: string;
  readonly state: RestoreState;
  readonly elapsedMs: number;
  readonly nodes: readonly {
    readonly node: string;
    readonly image: string;
    readonly bytes: number;
    readonly tablesEqual: number;
    readonly tablesUnproven: readonly string[];
    readonly kept: readonly string[];
    /** Bytes that finishing gave back. */
    readonly freedBytes: number;
    readonly gtidPosition: string;
    /** Numbers of its dbroots that were restored. */
    readonly dbroots: readonly number[];
    /** ColumnStore tables that were read whole through its server, and are the same on all nodes. */
    readonly tablesRead: number;
    /** Table locks that are there, a sentence each, with what to do. */
    readonly locks: readonly string[];
  }[];
  /** Nodes of the restore that were left as they are; the same command, once they are back, does it there too. */
  readonly leftOut: readonly string[];
  /** SQL that the user still has to run, per node; empty when replication was started or there are no replicas. */
  readonly commands: readonly { readonly node: string; readonly sql: readonly string[] }[];
}

export interface BackupRequest {
  /** Store only what is new or has changed since another set: the newest good one, or the one that is named. */
  readonly incremental?: { readonly parent?: string };
  /** Overrides of the configuration. */
  readonly settings?: Partial<BackupSettings>;
}

/** Which image a replica is restored from. `auto`: its own part when it stood exactly where the primary did, else the primary's image. */
export type ReplicaImage = 'auto' | 'own' | 'primary';

export interface RestoreRequest {
  /** Set id, or `latest`. */
  readonly setId: string;
  /** Nodes to restore; default: all of the set. */
  readonly nodes?: readonly string[];
  readonly replicas: ReplicaImage;
  /** Start replication afterwards, or tell the commands. */
  readonly replication: 'start' | 'print';
  /** Accept that replicas of restored servers are left as they are; without it that is a problem of the plan. */
  readonly leaveReplicas?: boolean;
  /** Put the configuration files of the set back, keeping those found. */
  readonly restoreConfiguration: boolean;
}

export interface RestoreRunOptions extends RunOptions {
  /** Let the service driver stop servers that run; without it a running server is SERVER_RUNNING. */
  readonly stopServers: boolean;
}

export interface SettleOptions extends RunOptions {
  /** Nodes of the restore that are out of reach, or no longer configured: they are not contacted and stay as they are. */
  readonly without?: readonly string[];
}

/** The controller as the command line uses it: a library. Every method throws StillpointError only. */
export interface Controller {
  describe(signal: AbortSignal): Promise<readonly NodeReport[]>;
  check(purpose: 'backup' | 'restore', signal: AbortSignal): Promise<ClusterChecks>;

  /** What `createBackup` would do; touches nothing. */
  planBackup(request: BackupRequest, signal: AbortSignal): Promise<BackupPlan>;
  createBackup(request: BackupRequest, run: RunOptions): Promise<BackupReport>;
  /** From the catalog; with `rescan` the catalog is rebuilt from the repositories of all nodes first. Newest first. */
  listSets(options: { all: boolean; rescan: boolean }, signal: AbortSignal): Promise<readonly SetSummary[]>;
  showSet(setId: string, signal: AbortSignal): Promise<SetDetail>;
  verifySet(setId: string, run: RunOptions): Promise<VerifyReport>;
  deleteSet(setId: string, run: RunOptions): Promise<DeleteReport>;
  /** What `pruneSets` would do; touches nothing. Without rules those of the configuration count. */
  planPrune(rules: RetentionRules | undefined, signal: AbortSignal): Promise<PruneReport>;
  pruneSets(rules: RetentionRules | undefined, run: RunOptions): Promise<PruneReport>;
  /** Marks a set as protected, or takes the mark away. */
  protectSet(setId: string, protect: boolean, run: RunOptions): Promise<ProtectReport>;
  /** Removes what dead operations left behind, or only looks for it. */
  cleanNodes(request: CleanRequest, run: RunOptions): Promise<CleanReport>;

  planRestore(request: RestoreRequest, signal: AbortSignal): Promise<RestorePlan>;
  runRestore(planId: string, run: RestoreRunOptions): Promise<RestoreReport>;
  resumeRestore(operationId: string, run: RestoreRunOptions & SettleOptions): Promise<RestoreReport>;
  rollbackRestore(operationId: string, run: SettleOptions): Promise<RestoreReport>;
  finishRestore(operationId: string, run: SettleOptions): Promise<RestoreReport>;
  listRestores(): readonly RestoreSummary[];

  /** Closes connections and the database. */
  close(): Promise<void>;
}
