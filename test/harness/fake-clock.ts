import { setImmediate } from 'node:timers/promises';
import type { Clock } from '@stillpoint/shared/time';

/** A clock that stands until it is moved. Sleepers wake in the order of their times, each at its own time. */
export interface FakeClock extends Clock {
  /** Lets time pass: everybody whose time comes is woken, and what follows from that happens, before later ones are. */
  pass(ms: number): Promise<void>;
  /** Time passes while this process is frozen: nobody wakes before `pass` is called. */
  freeze(ms: number): void;
}

interface Sleeper {
  readonly wakesMs: number;
  wake(): void;
}

export function fakeClock(start = new Date('2026-01-02T03:04:05Z')): FakeClock {
  let nowMs = 0;
  const sleepers = new Set<Sleeper>();
  const dueBefore = (untilMs: number): Sleeper | undefined =>
    [...sleepers].filter(({ wakesMs }) => wakesMs <= untilMs).sort((a, b) => a.wakesMs - b.wakesMs)[0];
  return {
    now: () => new Date(start.getTime() + nowMs),
    monotonicMs: () => nowMs,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        const abort = (): void => {
          sleepers.delete(sleeper);
          reject(signal?.reason);
        };
        const sleeper: Sleeper = {
          wakesMs: nowMs + Math.max(0, ms),
          wake: () => {
            sleepers.delete(sleeper);
            signal?.removeEventListener('abort', abort);
            resolve();
          },
        };
        if (signal?.aborted) {
          reject(signal.reason);
          return;
        }
        sleepers.add(sleeper);
        signal?.addEventListener('abort', abort, { once: true });
      }),
    pass: async (ms) => {
      const untilMs = nowMs + ms;
      await setImmediate();
      for (let due = dueBefore(untilMs); due !== undefined; due = dueBefore(untilMs)) {
        nowMs = Math.max(nowMs, due.wakesMs);
        due.wake();
        await setImmediate();
      }
      nowMs = untilMs;
      await setImmediate();
    },
    freeze: (ms) => {
      nowMs += ms;
    },
  };
}
