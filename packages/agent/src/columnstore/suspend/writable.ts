import { countdown, pauses } from './countdown.ts';
import type { ControlParts } from './parts.ts';
import type { Bound } from './types.ts';

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 500;
/** So many times in a row it must be out of reach to be gone: a busy network loses an answer now and then. */
const GONE_AFTER = 5;

/** See `EngineControl.awaitWritable`. */
export async function awaitWritable({ driver, clock }: ControlParts, bound: Bound): Promise<boolean> {
  const left = countdown(bound);
  const pause = pauses(FIRST_PAUSE_MS, LONGEST_PAUSE_MS);
  let unreachable = 0;
  for (;;) {
    const { mode } = await driver.status(bound.signal);
    if (mode === 'read-write') return true;
    unreachable = mode === 'unreachable' ? unreachable + 1 : 0;
    if (unreachable === GONE_AFTER || left() === 0) return false;
    await clock.sleep(Math.min(pause(), left()), bound.signal);
  }
}
