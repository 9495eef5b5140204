import { StillpointError } from '@stillpoint/shared/errors';
import type { Clock } from '@stillpoint/shared/time';
import { expect, it } from 'vitest';
import { patience, untilAnswered } from './contact.ts';

const LOST = new StillpointError('CONNECTION_LOST', 'the connection broke');

/** A clock that only sleeping moves on, and that remembers how long each sleep was. */
function sleeper(): Clock & { pass(ms: number): void; readonly sleeps: number[] } {
  let now = 0;
  const sleeps: number[] = [];
  return {
    sleeps,
    now: () => new Date(now),
    monotonicMs: () => now,
    sleep: async (ms) => {
      sleeps.push(ms);
      now += ms;
    },
    pass: (ms) => {
      now += ms;
    },
  };
}

it('tries again with longer and longer pauses, until its time is over', async () => {
  const clock = sleeper();
  let calls = 0;
  const work = untilAnswered(clock, 1_000, undefined, async () => {
    calls += 1;
    throw LOST;
  });
  await expect(work).rejects.toBe(LOST);
  expect(clock.sleeps).toEqual([100, 200, 400]);
  expect(calls).toBe(4);
});

it('does not count the time before contact was lost', async () => {
  const clock = sleeper();
  const lost: string[] = [];
  const tries = patience(clock, 1_000, ({ message }) => lost.push(message));
  clock.pass(3_600_000);
  await tries.wait(LOST);
  await tries.wait(LOST);
  tries.renew();
  clock.pass(3_600_000);
  await tries.wait(LOST);
  expect(clock.sleeps).toEqual([100, 200, 100]);
  expect(lost).toHaveLength(2);
});

it('has none for what is not about contact, nor once it is aborted', async () => {
  const full = new StillpointError('DISK_FULL', 'no space');
  await expect(patience(sleeper(), 1_000).wait(full)).rejects.toBe(full);
  const stop = new StillpointError('CANCELLED', 'stop');
  await expect(patience(sleeper(), 1_000).wait(LOST, AbortSignal.abort(stop))).rejects.toBe(stop);
});
