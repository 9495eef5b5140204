import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { fakeClock } from '../../../../test/harness/fake-clock.ts';
import type { EngineControl } from '../columnstore/suspend/index.ts';
import { createGuard, type GuardParts } from './guard.ts';
import type { Order } from './talk.ts';

/** A guard over an engine that the test makes read-write, and what it does, in order. */
function guardOf({ isPrimary }: { isPrimary: boolean }) {
  const done: string[] = [];
  const writable = Promise.withResolvers<boolean>();
  const clock = fakeClock();
  const control = {
    isPrimary,
    // As the real one: there is nothing to resume on a node that does not suspend.
    resume: async () => {
      if (isPrimary) done.push(`engine ${(await writable.promise) ? 'read-write' : 'read-only'}`);
      return { tookMs: 1, stuckLocks: [] };
    },
    awaitWritable: async () => {
      const isWritable = await writable.promise;
      if (!done.includes('seen read-write')) done.push('seen read-write');
      return isWritable;
    },
  } as unknown as EngineControl;
  const lock: GuardParts['lock'] = {
    connectionId: 7,
    take: async () => true,
    gone: new AbortController().signal,
    release: async () => void done.push('unlocked'),
  };
  const quiet = {
    say: () => undefined,
    endShared: () => undefined,
    log: () => undefined,
    cutOff: async () => undefined,
    conclude: async () => void done.push('concluded'),
  };
  const guard = createGuard({ control, lock, leaseMs: 4_000, clock, ...quiet });
  return { guard, done, clock, becomeWritable: () => writable.resolve(true) };
}

describe.each<{ name: string; orders: readonly Order[] }>([
  { name: 'was drained', orders: ['lock'] },
  { name: 'was suspended', orders: ['lock', 'suspending', 'suspended'] },
  { name: 'was seen read-only on a node that others suspend for', orders: ['lock', 'suspended'] },
])('an engine that $name', ({ orders }) => {
  it.each([true, false])('is read-write before the guardian lets writers go (primary: %s)', async (isPrimary) => {
    const { guard, done, clock, becomeWritable } = guardOf({ isPrimary });
    for (const order of orders) guard.hear(order);
    guard.takeOver('the agent is gone');
    await clock.pass(3_000);
    expect(done).toEqual([]);
    becomeWritable();
    for (let passed = 0; passed < 20; passed++) {
      await setImmediate();
      await clock.pass(200);
    }
    await guard.released;
    expect(done[1]).toBe('unlocked');
    expect(done.slice(2).every((what) => what === 'concluded')).toBe(true);
  });
});

describe('a guardian that was told to unlock and stay', () => {
  it('sees to the engine when the agent ends before that is done', async () => {
    const { guard, done } = guardOf({ isPrimary: true });
    for (const order of ['lock', 'suspending', 'suspended', 'unlock'] as const) guard.hear(order);
    await setImmediate();
    expect(done).toEqual(['unlocked']);
    guard.takeOver('the agent is gone');
    await guard.done;
    expect(done).toEqual(['unlocked', 'concluded']);
  });

  it('ends when everything is undone', async () => {
    const { guard, done } = guardOf({ isPrimary: true });
    for (const order of ['lock', 'suspending', 'suspended', 'unlock', 'release'] as const) guard.hear(order);
    await guard.done;
    expect(done).toEqual(['unlocked']);
  });
});
