import { StillpointError } from '@stillpoint/shared/errors';
import { formatDuration } from '@stillpoint/shared/time';
import {
  type ClosedGate,
  closeGate,
  cutConnection,
  cutWithout,
  type DeadMansCut,
  inTheWayOfStages,
  openWatcher,
  stalledClients,
  waitingAtGate,
} from '../../mariadb/gate.ts';
import type { LockGate } from '../../mariadb/open-gate.ts';
import { type Account, accountOf, type Session } from '../../mariadb/session.ts';
import { type ImageStream, type ImageStreamOptions, startImageStream } from './image-stream.ts';
import { LONGEST_STALL_MS, watchWaits } from './waits.ts';

/** A mariadb-backup that was brought to the gate, and waits there with nothing but its last stages left to do. */
export interface ParkedBackup {
  readonly gate: LockGate;
  readonly stream: ImageStream;
  /** True while it waits, and the gate is closed. Never throws. */
  isWaiting(): Promise<boolean>;
  /**
   * Returns when it has come to its end, under the lock on this connection; what it wrote may be on its way yet. Throws HOLD_LOST when it did not go on under that
   * very lock, or what `ImageStream.copied` does.
   */
  copiedUnder(holderId: number): Promise<void>;
  /** Ends it, and opens the gate. Never throws. */
  discard(): Promise<void>;
}

/** How long mariadb-backup may wait for its first stage, milliseconds; nobody waits for it meanwhile. */
const FIRST_STAGE_MS = 30_000;
const PARK_LOOK_MS = 10;
/** Without the line that announces the last stages. */
const FAR_LOOK_MS = 250;

const HAS_FIRST_STAGE = /Acquired locks for BACKUP STAGE START/;
const WANTS_FIRST_STAGE = /BACKUP STAGE START/;
const WANTS_LAST_STAGES = /BACKUP STAGE BLOCK_DDL/;

/** mariadb-backup came to its end before the gate was closed: there was hardly anything to copy. */
export class TooFast extends Error {}

/**
 * Starts mariadb-backup and brings it to the gate, while clients write. Throws TooFast, LOCK_TIMEOUT with the sessions in its way, what `ImageStream.stored` does,
 * SERVER_DOWN, ACCESS_DENIED, PRIVILEGE_MISSING, or the signal's reason; nothing runs or is locked then.
 */
export async function park(options: ImageStreamOptions): Promise<ParkedBackup> {
  const parking = new Parking(options);
  try {
    await parking.reachGate(options.signal);
    return parking;
  } catch (error) {
    await parking.discard();
    throw options.signal.aborted ? options.signal.reason : error;
  }
}

/** How far it has come. */
type Stand =
  /** On its way to the gate. */
  | 'coming'
  /** It waits before the closed gate. */
  | 'parked'
  /** The same, and a lock is about to be asked for. */
  | 'prepared'
  /** The gate is open, and it is kept from going on by being stopped. */
  | 'opened'
  /** It goes on, under the lock. */
  | 'passed'
  /** Its image is worth nothing, or done. */
  | 'over';

class Parking implements ParkedBackup {
  readonly gate: LockGate;
  readonly #options: ImageStreamOptions;
  readonly #account: Account;
  readonly #life = new AbortController();
  #stand: Stand = 'coming';
  #why = LOST('it was opened already');
  #stream: ImageStream | undefined;
  #watcher: Session | undefined;
  #closed: ClosedGate | undefined;
  #toolId: number | undefined;
  #cut: DeadMansCut | undefined;
  #holderId: number | undefined;

  constructor(options: ImageStreamOptions) {
    this.#options = options;
    this.#account = accountOf(options.mariadb);
    const ids = (): number[] => [this.#closed, this.#watcher, this.#cut].flatMap((one) => (one === undefined ? [] : [one.connectionId]));
    this.gate = {
      get connections() {
        return ids();
      },
      prepare: (signal) => this.#prepare(signal),
      open: () => this.#open(),
      granted: (holderId) => this.#granted(holderId),
      refused: () => this.#refused(),
    };
  }

  get stream(): ImageStream {
    return required(this.#stream);
  }

  async reachGate(signal: AbortSignal): Promise<void> {
    const watcher = await openWatcher(this.#account, this.#options.agent.clock, signal);
    this.#watcher = watcher;
    // The server cuts it then.
    watcher.gone.addEventListener('abort', () => this.#end(LOST('the agent was silent for too long')), { once: true });
    const lines = { wants: new AbortController(), has: new AbortController(), near: new AbortController() };
    const onLine = (line: string): void => {
      if (WANTS_FIRST_STAGE.test(line)) lines.wants.abort();
      if (HAS_FIRST_STAGE.test(line)) lines.has.abort();
      if (WANTS_LAST_STAGES.test(line)) lines.near.abort();
    };
    const stream = await startImageStream({ ...this.#options, onLine, signal: this.#life.signal });
    this.#stream = stream;
    // Whatever ends the way to the gate, with its reason.
    const stopped = new AbortController();
    stream.stored.then(
      () => stopped.abort(new TooFast()),
      (error: unknown) => stopped.abort(error),
    );
    const stop = AbortSignal.any([stopped.signal, signal]);
    await this.#awaitFirstStage(watcher, lines, stop);
    await orStopped(this.#close(signal), stop);
    void watchWaits({
      clock: this.#options.agent.clock,
      // Under the lock, clients wait for that.
      waiting: async () => (this.#stand === 'opened' || this.#stand === 'passed' ? [] : stalledClients(watcher)),
      onTooLong: () => this.#giveUp(),
      signal: this.#life.signal,
    });
    await this.#awaitPlace(watcher, lines.near.signal, stop);
    // From here on writers may wait with it.
    await stream.comeBack();
    // What is not compressed yet would have to be waited for under the lock.
    await stream.catchUp(stop).catch(() => undefined);
    stop.throwIfAborted();
    if (this.#stand === 'over') throw this.#why;
    this.#stand = 'parked';
    stream.stored.then(this.#ended, this.#ended);
  }

  /** Whoever is in the way of its first stage is in the way of the lock too. */
  async #awaitFirstStage(watcher: Session, { wants, has }: Record<'wants' | 'has', AbortController>, stop: AbortSignal): Promise<void> {
    const { clock } = this.#options.agent;
    await happens(AbortSignal.any([wants.signal, has.signal, stop]));
    await clock.sleep(FIRST_STAGE_MS, AbortSignal.any([has.signal, stop])).catch(() => undefined);
    stop.throwIfAborted();
    if (has.signal.aborted) return;
    const blockers = await inTheWayOfStages(watcher);
    const late = `mariadb-backup was kept from BACKUP STAGE START for ${formatDuration(FIRST_STAGE_MS)}`;
    throw new StillpointError('LOCK_TIMEOUT', late, { blockers });
  }

  async #awaitPlace(watcher: Session, near: AbortSignal, stop: AbortSignal): Promise<void> {
    const { clock } = this.#options.agent;
    const soon = AbortSignal.any([near, stop]);
    for (;;) {
      stop.throwIfAborted();
      const toolId = await waitingAtGate(watcher, stop);
      if (toolId !== undefined) {
        this.#toolId = toolId;
        this.#cut = await cutWithout(watcher, this.#account, toolId, stop);
        return;
      }
      const pause = near.aborted ? clock.sleep(PARK_LOOK_MS, stop) : clock.sleep(FAR_LOOK_MS, soon);
      await pause.catch(() => undefined);
    }
  }

  async isWaiting(): Promise<boolean> {
    if (this.#stand !== 'parked') return false;
    return this.#standsAtGate().catch(() => false);
  }

  async copiedUnder(holderId: number): Promise<void> {
    if (this.#stand !== 'passed' || this.#holderId !== holderId) throw this.#why;
    await this.stream.copied;
    await this.#leave();
  }

  async discard(): Promise<void> {
    this.#stand = 'over';
    // Its locks go at once, however long it takes to end.
    if (this.#toolId !== undefined && this.#watcher !== undefined) await cutConnection(this.#watcher, this.#toolId);
    this.#life.abort(this.#why);
    this.#stream?.tool.unpause();
    await this.#stream?.stored.catch(() => undefined);
    await this.#leave();
  }

  /** Gives back everything but the image. */
  async #leave(): Promise<void> {
    this.#stand = 'over';
    this.#closed?.drop();
    const watcher = this.#watcher;
    if (watcher === undefined) return;
    this.#cut?.callOff(watcher);
    await watcher.close();
  }

  /** A gate that is closed too late is opened again. */
  async #close(signal: AbortSignal): Promise<void> {
    const closed = await closeGate(this.#account, this.#options.agent.clock, signal);
    this.#closed = closed;
    if (this.#stand === 'over') closed.drop();
    const lost = (): void => {
      // Whoever opens it is told by that how it went.
      if (this.#stand !== 'opened') this.#spoil('the connection that kept the gate closed is gone');
    };
    closed.gone.addEventListener('abort', lost, { once: true });
  }

  #giveUp(): void {
    const bound = formatDuration(LONGEST_STALL_MS);
    const waited = `mariadb-backup waited at the gate for the other nodes, and a client had to wait with it for ${bound}: it was given up`;
    const hint =
      'Only who writes tables without transactions (MyISAM, ColumnStore, some of Aria) waits with it. With `--capture increment` no server waits for another one before the lock.';
    this.#end(new StillpointError('LOCK_TIMEOUT', waited, { hint }));
  }

  async #standsAtGate(signal?: AbortSignal): Promise<boolean> {
    const { gone } = required(this.#closed);
    const there = await waitingAtGate(required(this.#watcher), signal);
    return there === this.#toolId && !gone.aborted;
  }

  async #prepare(signal: AbortSignal): Promise<void> {
    if (this.#stand !== 'parked' || !(await this.#standsAtGate(signal))) throw this.#why;
    this.#stand = 'prepared';
  }

  async #open(): Promise<void> {
    if (this.#stand !== 'prepared') throw this.#why;
    // From here on it would run through its last stages, lock or no lock.
    this.stream.tool.pause();
    this.#stand = 'opened';
    await required(this.#closed).open();
  }

  #granted(holderId: number): void {
    if (this.#stand !== 'opened') return;
    this.#holderId = holderId;
    this.#stand = 'passed';
    this.stream.tool.unpause();
  }

  #refused(): void {
    if (this.#stand === 'prepared') {
      this.#stand = 'parked';
    } else if (this.#stand === 'opened' || this.#stand === 'passed') {
      this.#end(LOST('its lock was not granted, or given back'));
    }
  }

  /** What waits is lost, unless it waits no more. */
  #spoil(why: string): void {
    if (this.#stand !== 'passed') this.#end(LOST(why));
  }

  readonly #ended = (): void => this.#spoil('mariadb-backup came to its end before the lock was taken');

  #end(why: StillpointError): void {
    if (this.#stand === 'over') return;
    this.#why = why;
    void this.discard();
  }
}

const LOST = (why: string): StillpointError => new StillpointError('HOLD_LOST', `What waited at the gate is lost: ${why}`);

function required<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('a backup that was never parked is used');
  return value;
}

const happens = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });

/** Throws the reason of a signal that is aborted meanwhile. */
async function orStopped(work: Promise<void>, stop: AbortSignal): Promise<void> {
  work.catch(() => undefined);
  await Promise.race([work, happens(stop)]);
  stop.throwIfAborted();
  await work;
}
