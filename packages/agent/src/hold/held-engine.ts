import { StillpointError } from '@stillpoint/shared/errors';
import { HoldPhase } from '@stillpoint/shared/proto';
import type { Clock } from '@stillpoint/shared/time';
import type { Resumed, Stand } from '../columnstore/suspend/index.ts';
import type { Guardian, Suspension } from '../guardian/index.ts';
import type { HoldEngine } from './engine.ts';
import { engineGrip } from './engine-grip.ts';
import type { Grip, PhaseTerms } from './phases.ts';

/** What happens to the engine during a hold, for those who record it. */
export type EngineEvent =
  | { readonly is: 'suspended'; readonly stand: Stand }
  | { readonly is: 'resumed'; readonly how: Resumed }
  | { readonly is: 'not-resumed'; readonly error: StillpointError };

const RENEW_MS = 1_000;

export interface HeldEngineOptions {
  readonly leaseMs: number;
  readonly clock: Clock;
  /** Aborted when the hold is over. */
  readonly over: AbortSignal;
  tell(event: EngineEvent): void;
}

/** The engine of a node as a part of one hold: its guardian, its phases, and what it was like when it stood. */
export class HeldEngine {
  /** Lets go of nothing before the engine is read-write. */
  readonly grip: Grip;
  /** Undefined until it is prepared, and where none is needed. */
  guardian: Guardian | undefined;
  /** How the engine stood when it was suspended. */
  stand: Stand | undefined;
  /** How it was resumed by this node. */
  resumed: Resumed | undefined;
  /** Why it was not. */
  failure: StillpointError | undefined;

  readonly #engine: HoldEngine;
  readonly #options: HeldEngineOptions;
  #suspension: Suspension = 'none';
  #stays = false;

  constructor(engine: HoldEngine, options: HeldEngineOptions) {
    const { clock, leaseMs, tell } = options;
    this.#engine = engine;
    this.#options = options;
    this.grip = engineGrip({
      engine,
      leaseMs,
      clock,
      suspension: () => this.#suspension,
      resumed: (how) => {
        this.resumed = how;
        tell({ is: 'resumed', how });
      },
      failed: (error) => {
        this.failure = error;
        tell({ is: 'not-resumed', error });
      },
    });
  }

  /**
   * Before writers are made to wait: the engine must be writable, and the guardian be there. `shared`: see GuardianTerms. Throws ENGINE_READ_ONLY, ENGINE_NOT_READY,
   * COLUMNSTORE_CONFIG, or what keeps the guardian from guarding.
   */
  async prepare(shared: number | undefined): Promise<void> {
    const { control, startGuardian } = this.#engine;
    const { leaseMs, over } = this.#options;
    const starting = startGuardian?.({ leaseMs, shared, signal: over }).then((guardian) => {
      this.guardian = guardian;
    });
    const [writable, guarded] = await Promise.allSettled([control.requireWritable(over), starting]);
    if (writable.status === 'rejected') throw writable.reason;
    if (guarded.status === 'rejected') throw guarded.reason;
  }

  /**
   * Tells the guardian that this process lives, until the hold is over or the given function is called: while locks and snapshots are still
   * being taken, nobody else does.
   */
  keepGuardian(): () => void {
    const { clock, leaseMs, over } = this.#options;
    const enough = new AbortController();
    const signal = AbortSignal.any([over, enough.signal]);
    const tell = async (): Promise<void> => {
      for (;;) {
        await clock.sleep(Math.min(RENEW_MS, leaseMs / 3), signal);
        this.guardian?.renew();
      }
    };
    tell().catch(() => undefined);
    return () => enough.abort();
  }

  /**
   * Lets the guardian go, after everything else. While the suspension is on record it only lets go of its lock, and stays until that is undone:
   * this process may be stopped before. Resolves when there is no lock of it. Never throws.
   */
  async dismissGuardian(): Promise<void> {
    const { guardian } = this;
    if (guardian === undefined) return;
    const { control, record } = this.#engine;
    const isOpen = control.isPrimary && this.#suspension !== 'none' && (await record.isThere());
    if (!isOpen) return await guardian.release();
    await guardian.unlock();
    void this.#releaseWhenUndone(guardian);
  }

  /** Resolves when the guardian has ended, or is to stay. Never rejects. */
  get guardianEnded(): Promise<void> | undefined {
    return this.#stays ? undefined : this.guardian?.ended;
  }

  async #releaseWhenUndone(guardian: Guardian): Promise<void> {
    const { clock } = this.#options;
    this.#stays = true;
    while (await this.#engine.record.isThere()) {
      guardian.renew();
      await clock.sleep(RENEW_MS);
    }
    await guardian.release();
  }

  /** Brings the engine to a phase. Throws what the control does, USAGE, or HOLD_LOST of the guardian. */
  async enter(phase: HoldPhase, terms: PhaseTerms): Promise<void> {
    const { control } = this.#engine;
    const { clock, over: signal } = this.#options;
    const bound = { timeoutMs: timeoutOf(terms), refuseCpimport: terms.refuseCpimport, clock, signal };
    if (phase === HoldPhase.FLUSH) await control.saveBrm(signal);
    else if (phase === HoldPhase.SUSPEND) await this.#suspend(bound);
    else {
      await control.drain(bound);
      // From here on the primary may do it at any moment.
      if (!control.isPrimary) this.#suspension = 'begun';
    }
  }

  /** That it stands as it stood when it was suspended. Throws ATTEST_FAILED. */
  async attest(): Promise<void> {
    if (this.stand !== undefined) await this.#engine.control.attest(this.stand, this.#options.over);
  }

  async #suspend(bound: Omit<Parameters<HoldEngine['control']['suspend']>[0], 'beforeFlag'>): Promise<void> {
    const { control, record } = this.#engine;
    this.stand = await control.suspend({ ...bound, beforeFlag: (stand) => this.#beforeFlag(stand) });
    this.#suspension = 'complete';
    if (control.isPrimary) {
      this.guardian?.suspended();
      record.confirm(this.stand);
    }
    this.#options.tell({ is: 'suspended', stand: this.stand });
  }

  /** Whoever comes after a crash of this process must know: the next start of the agent by the record, the guardian at once. */
  async #beforeFlag(stand: Stand): Promise<void> {
    const { record, undoer } = this.#engine;
    const { over } = this.#options;
    const before = this.#suspension;
    await undoer.stop();
    this.#suspension = 'begun';
    try {
      await record.write(stand);
      await this.guardian?.suspending(over);
      // This process may have been frozen since, and the guardian be gone.
      this.guardian?.lost.throwIfAborted();
      over.throwIfAborted();
    } catch (error) {
      // Nothing was asked for.
      if (before === 'none') await record.remove();
      this.#suspension = before;
      throw error;
    }
  }
}

function timeoutOf({ timeoutMs }: PhaseTerms): number {
  if (timeoutMs !== undefined && timeoutMs > 0) return timeoutMs;
  throw new StillpointError('USAGE', 'A phase of the engine needs a timeout');
}
