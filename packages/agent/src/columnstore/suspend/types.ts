import type { Clock } from '@stillpoint/shared/time';
import type { EngineStatus } from '../types.ts';

/** The control programs, one driver each. */
export type DriverName = 'dbrmctl' | 'cmapi' | 'mcsadmin';

/** Which way the engine was made read-write. */
export interface Way {
  readonly by: DriverName;
  /** Why it was not the way that is configured; undefined when it was. */
  readonly detour: string | undefined;
}

/** Sets the flag, and tells how it stands; one implementation a control program. Never trusts an exit code. */
export interface SuspendDriver {
  readonly name: DriverName;
  /**
   * To be asked before writers are made to wait: throws COLUMNSTORE_CONFIG when the driver cannot work as configured, ENGINE_NOT_READY
   * when a suspension would not go through as things are.
   */
  require(signal: AbortSignal): Promise<void>;
  /** What the engine says. Never throws for an engine that does not answer: that is `unreachable`. Throws the signal's reason. */
  status(signal: AbortSignal): Promise<EngineStatus>;
  /** Asks for read-only. Throws SUSPEND_FAILED when that was refused; whether it is in force, `status` tells. */
  suspend(signal: AbortSignal): Promise<void>;
  /**
   * Asks for read-write, by another way when its own fails; tells which way it went. Throws RESUME_FAILED when that was refused; whether
   * it is in force, `status` tells.
   */
  resume(signal: AbortSignal): Promise<Way>;
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
  /** What made the engine read-write; undefined when it was so already, or when its suspension is not ours to end. */
  readonly way: Way | undefined;
  /** Table locks that are there afterwards, with what to do: a sentence each. */
  readonly stuckLocks: readonly string[];
}

/** Bounds of a wait, and whose time it is. */
export interface Bound {
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** On what terms the engine is made read-only. */
export interface SuspendTerms extends Bound {
  readonly refuseCpimport: boolean;
  /**
   * Awaited each time directly before the flag is set, with how things stand: who resumes after a crash must know. Nothing is suspended
   * when it throws.
   */
  readonly beforeFlag: (stand: Stand) => Promise<void>;
}

/**
 * The engine during one hold: drained, suspended, flushed, attested, resumed. Opened anew for each hold. Used by the agent, and by the
 * guardian when the agent is gone.
 */
export interface EngineControl {
  readonly driver: DriverName;
  /** True on the node that suspends for all: the owner of dbroot 1. */
  readonly isPrimary: boolean;
  /**
   * Throws ENGINE_READ_ONLY when it was suspended by somebody else, ENGINE_NOT_READY, COLUMNSTORE_CONFIG: nothing may be suspended then.
   */
  requireWritable(signal: AbortSignal): Promise<void>;
  /**
   * Waits, with SQL writers shut out, until no table lock (asked on the primary) and no cpimport of this node is left. Throws
   * DRAIN_TIMEOUT with the locks, CPIMPORT_RUNNING at once when such are not to be waited for, or ENGINE_NOT_READY.
   */
  drain(bound: Bound & { readonly refuseCpimport: boolean }): Promise<void>;
  /**
   * On the primary: sets the engine read-only, sees that it is, and looks at the locks once more; what slipped in between is drained
   * again. On the other nodes: waits until the engine is read-only. Throws SUSPEND_FAILED, ENGINE_READ_ONLY, ENGINE_NOT_READY,
   * COLUMNSTORE_CONFIG, DRAIN_TIMEOUT, CPIMPORT_RUNNING; the caller resumes then, on this same control: it knows whether there is anything
   * of its own to undo.
   */
  suspend(terms: SuspendTerms): Promise<Stand>;
  /**
   * On the primary: saves the block resolution manager as the owner of its files, and looks at what was said. Not interrupted once it
   * has begun: half a save is worse than a late one. Throws BRM_FAILED.
   */
  saveBrm(signal: AbortSignal): Promise<void>;
  /**
   * How it stands: read-only still, on the primary no table lock and the same controllernode. Throws ATTEST_FAILED naming what has
   * changed and, when controllernode was restarted, what else must be restarted.
   */
  attest(since: Stand, signal: AbortSignal): Promise<Stand>;
  /**
   * Sets the engine read-write and sees that it is, again and again within the bound. Then looks for locks that are left. Throws
   * RESUME_FAILED. Repeatable; without effect on an engine that is read-write, on nodes other than the primary, and after `suspend` found
   * a suspension of somebody else (ENGINE_READ_ONLY). `mayComeYet`: a request to suspend it was made, and may be carried out later; then only
   * an engine counts that has answered to a request to resume, for its status is told at once while requests wait in line. Default: what
   * this control has asked for itself.
   */
  resume(bound: Bound, known?: { readonly mayComeYet: boolean }): Promise<Resumed>;
  /** Waits until the engine is read-write or gone, at most for the bound; for nodes on which others resume. True when it is read-write. */
  awaitWritable(bound: Bound): Promise<boolean>;
}
