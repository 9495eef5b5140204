import type { Clock } from '@stillpoint/shared/time';
import type { EngineControl } from '../columnstore/suspend/index.ts';

/** How long to wait for a writable engine, and when to believe it. Milliseconds. */
export interface SteadyBound {
  readonly timeoutMs: number;
  /** For so long it must be seen read-write all the time; 0 when one look is enough. */
  readonly steadyMs: number;
  readonly clock: Clock;
}

/**
 * That a node which does not suspend itself may see a read-write engine for a moment while its primary is about to make it read-only, or does
 * so once more because a write slipped in. Whoever lets writers go must not do it in such a moment. In doubt, so long it must be seen
 * read-write, milliseconds.
 */
export const STEADY_MS = 1_000;

const LOOK_EVERY_MS = 100;
const NEVER = new AbortController().signal;

/** Waits until the engine is read-write and stays so, or is gone; at most for the bound. True when it is read-write. Never throws. */
export async function awaitSteadilyWritable(control: EngineControl, { timeoutMs, steadyMs, clock }: SteadyBound): Promise<boolean> {
  const endsMs = clock.monotonicMs() + timeoutMs;
  const isWritable = (withinMs: number): Promise<boolean> =>
    control.awaitWritable({ timeoutMs: Math.max(0, withinMs), clock, signal: NEVER }).catch(() => false);
  for (;;) {
    if (!(await isWritable(endsMs - clock.monotonicMs()))) return false;
    const steadyAtMs = clock.monotonicMs() + steadyMs;
    let isSteady = true;
    while (isSteady && clock.monotonicMs() < steadyAtMs) {
      await clock.sleep(LOOK_EVERY_MS);
      isSteady = await isWritable(0);
    }
    if (isSteady) return true;
    if (clock.monotonicMs() >= endsMs) return false;
  }
}
