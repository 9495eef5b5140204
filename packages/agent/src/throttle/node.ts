import { setTimeout as delay } from 'node:timers/promises';
import { setEnvironmentData } from 'node:worker_threads';
import { LIMIT } from './key.ts';
import { Limit } from './limit.ts';

const limit = new Limit();
/** Aborted by what changes the limit: whoever waits looks again. */
let changed = new AbortController();

/** Limits what this process reads and writes from now on, bytes in a second; 0 takes the limit away. Threads that are begun later obey it too. */
export function limitNode(rate: number): void {
  setEnvironmentData(LIMIT, limit.memory);
  limit.rate = rate;
  look();
}

/** Lifts the limit for as long as somebody waits for this node: whoever waits for a turn goes on at once. Gives what takes that back, once. */
export function liftLimit(): () => void {
  limit.lift();
  look();
  let isLifted = true;
  return () => {
    if (isLifted) limit.lower();
    isLifted = false;
  };
}

/** Whether there is a limit that is not lifted. */
export const isLimited = (): boolean => limit.inForce;

/** Bytes in a second, 0 for no limit; also while that is lifted. */
export const limitedTo = (): number => limit.rate;

/** Waits until so many bytes may be read or written. Throws the signal's reason. */
export async function waitTurn(bytes: number, signal: AbortSignal): Promise<void> {
  const beginsAt = limit.reserve(bytes);
  while (beginsAt !== undefined && limit.inForce) {
    const ms = Number(beginsAt - process.hrtime.bigint()) / 1e6;
    if (ms <= 0) return;
    const either = AbortSignal.any([signal, changed.signal]);
    await delay(ms, undefined, { signal: either }).catch(() => signal.throwIfAborted());
  }
}

function look(): void {
  changed.abort();
  changed = new AbortController();
}
