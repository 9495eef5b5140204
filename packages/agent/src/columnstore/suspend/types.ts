import type { Clock } from '@stillpoint/shared/time';
import type { EngineStatus } from '../types.ts';

/** Sets the flag, and tells how it stands; one implementation a control program. Never trusts an exit code. */
export interface SuspendDriver {
  readonly name: 'dbrmctl' | 'cmapi' | 'mcsadmin';
  /** What the engine says. Never throws for an engine that does not answer: that is `unreachable`. */
  status(signal: AbortSignal): Promise<EngineStatus>;
  /** Asks for read-only. Throws SUSPEND_FAILED when that was refused; whether it is in force, `status` tells. */
  suspend(signal: AbortSignal): Promise<void>;
  /** Asks for read-write. Throws RESUME_FAILED when that was refused; whether it is in force, `status` tells. */
  resume(signal: AbortSignal): Promise<void>;
}

/** What must not change from suspension to attestation; see EngineStand in hold.proto. */
export interface Stand {
  readonly configRevision: number;
  readonly configSha256: string;
  /** 0 on a node that does not run controllernode. */
  readonly controllerPid: number;
  /** Clock ticks since boot. */
  readonly controllerStarted: bigint;
}

/** How writes were resumed. */
export interface Resumed {
  readonly tookMs: number;
  /** Table locks that are there afterwards, with what to do: a sentence each. */
  readonly stuckLocks: readonly string[];
}

/** Bounds of a wait, and whose time it is. */
export interface Bound {
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * The engine during one hold: drained, suspended, flushed, attested, resumed. Opened anew for each hold. Used by the agent, and by the
 * guardian when the agent is gone.
 */
export interface EngineControl {
  readonly driver: SuspendDriver['name'];
  /** True on the node that suspends for all: the owner of dbroot 1. */
  readonly isPrimary: boolean;
  /**
   * Throws ENGINE_READ_ONLY when it was suspended by somebody else, ENGINE_NOT_READY, COLUMNSTORE_CONFIG: nothing may be suspended then.
   */
  requireWritable(signal: AbortSignal): Promise<void>;
  /**
   * Waits, with SQL writers shut out, until no table lock (asked on the primary) and no cpimport of this node is left. Throws
   * DRAIN_TIMEOUT with the locks, or CPIMPORT_RUNNING at once when such are not to be waited for.
   */
  drain(bound: Bound & { readonly refuseCpimport: boolean }): Promise<void>;
  /**
   * On the primary: sets the engine read-only, sees that it is, and looks at the locks once more; what slipped in between is drained
   * again. `beforeFlag` is awaited each time directly before the flag is set: who resumes after a crash must know. On the other nodes: sees
   * that the engine is read-only. Throws SUSPEND_FAILED, ENGINE_READ_ONLY, DRAIN_TIMEOUT; the caller resumes then.
   */
  suspend(bound: Bound & { readonly refuseCpimport: boolean; readonly beforeFlag: () => Promise<void> }): Promise<Stand>;
  /** On the primary: saves the block resolution manager as the owner of its files, and looks at what was said. Throws BRM_FAILED. */
  saveBrm(signal: AbortSignal): Promise<void>;
  /**
   * How it stands: read-only still, on the primary no table lock and the same controllernode. Throws ATTEST_FAILED naming what has
   * changed and, when controllernode was restarted, what else must be restarted.
   */
  attest(since: Stand, signal: AbortSignal): Promise<Stand>;
  /**
   * Sets the engine read-write and sees that it is, again and again within the bound. Then looks for locks that are left. Throws
   * RESUME_FAILED. Repeatable; without effect on one that is read-write.
   */
  resume(bound: Bound): Promise<Resumed>;
  /** Waits until the engine is read-write or gone, at most for the bound; for nodes on which others resume. True when it is read-write. */
  awaitWritable(bound: Bound): Promise<boolean>;
}
