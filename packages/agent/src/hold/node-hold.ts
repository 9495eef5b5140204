import { type StillpointError, toStillpointError } from '@stillpoint/shared/errors';
import type { HoldPhase, MariadbPosition, ReplicationSource } from '@stillpoint/shared/proto';
import type { Clock } from '@stillpoint/shared/time';
import type { Stand } from '../columnstore/suspend/index.ts';
import { SILENT_BEYOND_LEASE_MS } from '../guardian/index.ts';
import type { LockConnections, ServerLock } from '../mariadb/lock.ts';
import type { LockGate } from '../mariadb/open-gate.ts';
import type { Felt, Probe } from '../mariadb/probe.ts';
import type { Snapshots } from '../mariadb/snapshots.ts';
import type { TableSelection } from '../mariadb/tables.ts';
import { type Course, createCourse } from './course.ts';
import type { OpenHoldEngine } from './engine.ts';
import { type EngineEvent, HeldEngine } from './held-engine.ts';
import { enterPhase, type Grip, type PhaseTerms } from './phases.ts';
import type { HoldServer } from './server.ts';
import type { HoldState, HoldTerms } from './state.ts';
import type { Hold } from './types.ts';

/** How often connections that wait for their use say so, milliseconds. */
const AWAKE_MS = 10_000;

export interface NodeHoldOptions {
  readonly operationId: string;
  readonly terms: HoldTerms;
  /** Which tables to prove by checksum; undefined for none. */
  readonly checksums: (TableSelection & { readonly connections: number }) | undefined;
  /** How often a probe writes its row meanwhile, milliseconds; undefined for no probe. */
  readonly probeEveryMs?: number | undefined;
  /** Undefined on a node without one: its hold is in force at once and keeps nobody waiting. */
  readonly server: HoldServer | undefined;
  /** Opens the ColumnStore engine of the node. Default: there is none. */
  readonly engine?: OpenHoldEngine | undefined;
  /** What waits for the lock of the server at its gate, looked for when the hold is taken. Default: nothing does. */
  readonly gate?: (() => LockGate | undefined) | undefined;
  /** Told what happens to the engine. */
  readonly tell?: ((event: EngineEvent) => void) | undefined;
  readonly clock: Clock;
}

/** A hold as whoever takes and keeps it sees it. What it grips is let go when it is over, whatever ended it. */
export class NodeHold implements Hold {
  readonly operationId: string;
  /** Resolves when it is granted; rejects with the reason when it never will be. */
  readonly granted: Promise<void>;
  /** Resolves when it is over and everything is given back. */
  readonly done: Promise<void>;
  /** When the lock was asked for and granted, on the wall clock. */
  requestedAt: Date;
  grantedAt: Date;
  lock: ServerLock | undefined;
  snapshots: Snapshots | undefined;
  /** Undefined on a node without one, and before it was opened. */
  engine: HeldEngine | undefined;
  /** What the probe felt, once it is over; undefined without one. */
  felt: Felt | undefined;

  readonly #options: NodeHoldOptions;
  readonly #course: Course;
  readonly #grips: Grip[] = [];
  readonly #phases = new Map<HoldPhase, Promise<void>>();
  readonly #lost = new AbortController();
  readonly #granted = Promise.withResolvers<void>();
  readonly #done = Promise.withResolvers<void>();
  #connections: LockConnections | undefined;
  #gate: LockGate | undefined;
  #probe: Probe | undefined;
  #underWay: Promise<unknown> = Promise.resolve();
  #preparing: Promise<void> | undefined;
  #askedMs: number | undefined;
  #grantedMs = 0;
  #endedMs: number | undefined;

  /** A hold that is not taken yet. */
  constructor(options: NodeHoldOptions) {
    const { clock, operationId, terms } = options;
    this.#options = options;
    this.operationId = operationId;
    this.requestedAt = clock.now();
    this.grantedAt = this.requestedAt;
    this.granted = this.#granted.promise;
    this.done = this.#done.promise;
    this.#course = createCourse(operationId, terms, clock, () => void this.#end());
    // Not everybody who takes a hold also waits for this promise.
    this.granted.catch(() => undefined);
  }

  get state(): HoldState {
    return this.#course.state;
  }

  /** Why it is over; CANCELLED when it was given back as asked, undefined while it is not over. */
  get reason(): StillpointError | undefined {
    return this.#course.reason;
  }

  get inForce(): boolean {
    return this.state.at === 'held';
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  get position(): MariadbPosition | undefined {
    return this.lock?.position;
  }

  get sources(): readonly ReplicationSource[] {
    return this.lock?.sources ?? [];
  }

  get stand(): Stand | undefined {
    return this.engine?.stand;
  }

  get lockWaitMs(): number {
    return this.lock?.waitedMs ?? 0;
  }

  get blockedMs(): number {
    if (this.#options.server === undefined || this.#askedMs === undefined) return 0;
    return (this.#endedMs ?? this.#options.clock.monotonicMs()) - this.#askedMs;
  }

  /** Milliseconds since it was granted. */
  get heldMs(): number {
    return this.#options.clock.monotonicMs() - this.#grantedMs;
  }

  /**
   * Makes it ready to be taken: what takes its time and keeps nobody waiting, so that several nodes can be asked for their locks at the same
   * moment. Once, however often it is called. Throws why it never will be taken; nothing is left then.
   */
  async ready(): Promise<void> {
    await this.#prepared();
    if (this.reason === undefined) return;
    await this.done;
    throw this.reason;
  }

  /** Takes it; to be called once. Throws why it could not be taken, LOCK_TIMEOUT above all; nothing is held then. */
  async acquire(): Promise<void> {
    const { clock } = this.#options;
    await this.#prepared();
    await this.#while('idle', () => this.#startProbe());
    await this.#while('idle', () => this.#gripping(this.#prepareGate()));
    if (this.reason === undefined) {
      this.requestedAt = clock.now();
      this.#askedMs = clock.monotonicMs();
      this.#course.apply({ is: 'asked' });
    }
    await this.#inside('acquiring', () => this.#gripping(this.#take()));
    this.#granted.resolve();
  }

  /** Pushes the lease out. */
  renew(): void {
    this.#course.apply({ is: 'renewed' });
    if (this.inForce) this.engine?.guardian?.renew();
  }

  /** Proves that nothing has moved. Throws HOLD_LOST, ATTEST_FAILED or what else ended the hold; nothing is held then. */
  attest(): Promise<void> {
    return this.#inside('held', async () => {
      await Promise.all([this.lock?.attest(), this.engine?.attest()]);
    });
  }

  /**
   * Goes on to another phase; asked again (an answer may have been lost), it is the same one. Throws COLUMNSTORE_UNSUPPORTED or what else
   * ended the hold; nothing is held then.
   */
  advance(phase: HoldPhase, terms: PhaseTerms): Promise<void> {
    const known = this.#phases.get(phase);
    if (known !== undefined) return known;
    const entered = this.#inside('held', () => this.#gripping(enterPhase(phase, this.engine, terms)));
    this.#phases.set(phase, entered);
    return entered;
  }

  /** Gives it back; returns once that is done. What is over already stays what it is. Never throws. */
  release(): Promise<void> {
    this.#course.apply({ is: 'released' });
    return this.done;
  }

  /** Ends it as lost; returns once everything is given back. Never throws. */
  lose(error: StillpointError): Promise<void> {
    this.#course.apply({ is: 'failed', error });
    return this.done;
  }

  /** What must be, and takes its time, before writers are made to wait. */
  #prepared(): Promise<void> {
    this.#preparing ??= this.#while('idle', () => this.#gripping(this.#prepareEngine()));
    return this.#preparing;
  }

  /** Last: from here on it is short of being opened, and the lock is asked for at once. */
  async #prepareGate(): Promise<void> {
    const gate = this.#options.gate?.();
    if (gate === undefined) return;
    await gate.prepare(this.#course.over);
    this.#gate = gate;
    this.#grips.push({ letGo: async () => gate.refused() });
  }

  async #prepareEngine(): Promise<void> {
    const { clock, engine: open, server, tell, terms } = this.#options;
    const engine = await open?.(this.operationId);
    if (engine === undefined) return;
    const connections = await server?.connect(this.#course.over);
    this.#connections = connections;
    this.#grips.push({ letGo: async () => closeBoth(connections) });
    if (connections !== undefined) void this.#keepAwake(connections);
    const held = new HeldEngine(engine, { leaseMs: terms.leaseMs, clock, over: this.#course.over, tell: (event) => tell?.(event) });
    this.engine = held;
    this.#grips.push({ letGo: () => held.dismissGuardian() });
    await held.prepare(connections?.holder.descriptor);
    const { guardian } = held;
    guardian?.lost.addEventListener('abort', () => this.#fail(guardian.lost.reason), { once: true });
    guardian?.lost.throwIfAborted();
  }

  /** Other nodes may take hours until the lock is asked for, and servers drop who says nothing. Connections that are lost, the lock finds out. */
  async #keepAwake({ holder, watcher }: LockConnections): Promise<void> {
    const { clock } = this.#options;
    try {
      for (;;) {
        await clock.sleep(AWAKE_MS, this.#course.over);
        if (this.state.at !== 'idle') return;
        await Promise.all([holder.ping(), watcher.ping()]);
      }
    } catch {
      // Over.
    }
  }

  /** A backup is worth more than a figure about it: what keeps the probe from writing is told with its end. */
  async #startProbe(): Promise<void> {
    const { clock, probeEveryMs, server } = this.#options;
    if (probeEveryMs === undefined) return;
    try {
      this.#probe = await server?.probe(probeEveryMs, clock, this.#course.over);
    } catch (error) {
      this.felt = { longestMs: 0, writes: 0, failure: toStillpointError(error).message };
    }
  }

  async #take(): Promise<void> {
    const { checksums, clock, server, terms } = this.#options;
    const { engine } = this;
    const signal = this.#course.over;
    if (server !== undefined) {
      const timeoutMs = Math.min(terms.lockTimeoutMs, terms.maxBlockMs);
      const { leaseMs } = terms;
      const guarded = engine === undefined ? {} : { connections: this.#connections, silentMs: leaseMs + SILENT_BEYOND_LEASE_MS };
      const lock = await server.lock({ timeoutMs, leaseMs, gate: this.#gate, clock, signal, ...guarded });
      this.lock = lock;
      this.requestedAt = lock.requestedAt;
      this.#grips.push({ letGo: () => lock.release() });
      lock.lost.addEventListener('abort', () => this.#fail(lock.lost.reason), { once: true });
      lock.lost.throwIfAborted();
    }
    if (engine !== undefined) this.#grips.push(engine.grip);
    const taken = engine?.keepGuardian();
    try {
      await engine?.guardian?.lock(signal);
      if (checksums !== undefined) this.snapshots = await server?.snapshots({ ...checksums, signal });
    } finally {
      taken?.();
    }
    this.grantedAt = this.lock?.grantedAt ?? clock.now();
    this.#grantedMs = clock.monotonicMs();
    this.#course.apply({ is: 'granted' });
  }

  /** Marks work that may end with a grip more: the end of the hold waits for it. */
  #gripping(work: Promise<void>): Promise<void> {
    this.#underWay = Promise.allSettled([this.#underWay, work]);
    return work;
  }

  /** Does something that is worth nothing once the hold is over; a failure ends the hold. */
  async #inside(at: HoldState['at'], work: () => Promise<void>): Promise<void> {
    await this.#while(at, work);
    if (this.inForce) return;
    await this.release();
    throw this.reason ?? new Error('a hold that is over has a reason');
  }

  async #while(at: HoldState['at'], work: () => Promise<void>): Promise<void> {
    if (this.state.at === at) await work().catch((error: unknown) => this.#fail(error));
  }

  #fail(error: unknown): void {
    this.#course.apply({ is: 'failed', error: toStillpointError(error) });
  }

  async #end(): Promise<void> {
    const isLost = this.state.at === 'lost';
    if (isLost) this.#lost.abort(this.reason);
    this.#granted.reject(this.reason);
    // What is under way ends first: a grip that it gets at the last moment must be given back too.
    await this.#underWay;
    for (const grip of this.#grips.splice(0).reverse()) await grip.letGo();
    this.#endedMs = this.#options.clock.monotonicMs();
    if (this.#probe !== undefined) this.felt = await this.#probe.finish();
    if (isLost) await this.snapshots?.close().catch(() => undefined);
    await this.engine?.guardianEnded;
    this.#done.resolve();
  }
}

/** What a lock has made of them, if it came to that, it has ended itself. */
function closeBoth(connections: LockConnections | undefined): void {
  connections?.holder.destroy();
  connections?.watcher.destroy();
}
