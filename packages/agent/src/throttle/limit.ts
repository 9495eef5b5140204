import { turnOf } from './schedule.ts';

/** The limit of a node in memory that all threads share: when the next turn is, the rate, and who has lifted it. */
const BYTES = 24;
const FREE_AT = 0;
const RATE = 1;
/** In 32-bit words. */
const LIFTED = 4;

const MS = 1_000_000;

/** A limit on bytes in a second for everything that a process does, on whatever thread. Without a rate there is none; nor while it is lifted. */
export class Limit {
  readonly memory: SharedArrayBuffer;
  readonly #times: BigInt64Array;
  readonly #words: Int32Array;

  /** That of another thread, by its memory; or a new one, without a rate. */
  constructor(memory = new SharedArrayBuffer(BYTES)) {
    this.memory = memory;
    this.#times = new BigInt64Array(memory);
    this.#words = new Int32Array(memory);
  }

  /** Bytes in a second; 0 for no limit. Turns that were taken before do not count. */
  set rate(bytes: number) {
    Atomics.store(this.#times, FREE_AT, 0n);
    Atomics.store(this.#times, RATE, BigInt(bytes));
    this.#wake();
  }

  get rate(): number {
    return Number(Atomics.load(this.#times, RATE));
  }

  get inForce(): boolean {
    return this.rate > 0 && !this.isLifted;
  }

  get isLifted(): boolean {
    return Atomics.load(this.#words, LIFTED) > 0;
  }

  /** Lifts it, and wakes whoever waits for a turn on a thread. To be taken back as often as it was lifted. */
  lift(): void {
    Atomics.add(this.#words, LIFTED, 1);
    this.#wake();
  }

  lower(): void {
    Atomics.sub(this.#words, LIFTED, 1);
  }

  /** Takes a turn of so many bytes. Gives when it begins, nanoseconds of `process.hrtime`; undefined for at once. */
  reserve(bytes: number): bigint | undefined {
    while (this.inForce) {
      const before = Atomics.load(this.#times, FREE_AT);
      const now = process.hrtime.bigint();
      const { beginsAt, freeAt } = turnOf(bytes, this.rate || 1, before, now);
      if (Atomics.compareExchange(this.#times, FREE_AT, before, freeAt) !== before) continue;
      return beginsAt > now ? beginsAt : undefined;
    }
    return undefined;
  }

  /** Waits for a turn of so many bytes, and blocks the thread that calls: not for the main one. */
  wait(bytes: number): void {
    const beginsAt = this.reserve(bytes);
    while (beginsAt !== undefined && this.inForce) {
      const ms = Number(beginsAt - process.hrtime.bigint()) / MS;
      if (ms <= 0) return;
      Atomics.wait(this.#words, LIFTED, 0, ms);
    }
  }

  #wake(): void {
    Atomics.notify(this.#words, LIFTED);
  }
}
