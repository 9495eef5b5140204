import { setTimeout as delay } from 'node:timers/promises';

/** Where time comes from. Passed in wherever time matters, so that tests need no waiting. */
export interface Clock {
  /** Wall clock, for records. */
  now(): Date;
  /** Monotonic milliseconds, for intervals. */
  monotonicMs(): number;
  /** Resolves after `ms`; rejects with the signal's reason when it is aborted first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** The clock of this machine. */
export const systemClock: Clock = {
  now: () => new Date(),
  monotonicMs: () => performance.now(),
  sleep: async (ms, signal) => {
    try {
      await delay(ms, undefined, signal === undefined ? {} : { signal });
    } catch (error) {
      throw signal?.aborted ? signal.reason : error;
    }
  },
};
