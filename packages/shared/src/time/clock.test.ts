import { describe, expect, it } from 'vitest';
import { StillpointError } from '../errors/index.ts';
import { systemClock } from './index.ts';

describe('the system clock', () => {
  it('never goes back', () => {
    const first = systemClock.monotonicMs();
    expect(systemClock.monotonicMs()).toBeGreaterThanOrEqual(first);
  });

  it('wakes from sleep with the reason of the abort', async () => {
    const abort = new AbortController();
    const reason = new StillpointError('CANCELLED', 'enough');
    const sleep = systemClock.sleep(3_600_000, abort.signal);
    abort.abort(reason);
    await expect(sleep).rejects.toBe(reason);
    await expect(systemClock.sleep(3_600_000, abort.signal)).rejects.toBe(reason);
  });

  it('sleeps for as long as it was told', async () => {
    const before = systemClock.monotonicMs();
    await systemClock.sleep(5, new AbortController().signal);
    // Timers count whole milliseconds.
    expect(systemClock.monotonicMs() - before).toBeGreaterThanOrEqual(4);
  });
});
