import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import { isLimited, liftLimit, limitNode, waitTurn } from './node.ts';
import { BURST_S, turnOf } from './schedule.ts';

/** Slow enough that nothing of it ever comes of itself while a test runs. */
const SLOW = 1;
const HOUR_OF_BYTES = 3600;
const { signal } = new AbortController();
afterEach(() => limitNode(0));

test('turns never let more through than the rate, and never hold back what is below it', () => {
  const steps = fc.array(fc.record({ bytes: fc.integer({ min: 1, max: 4_000_000 }), pauseMs: fc.integer({ min: 0, max: 2000 }) }), {
    minLength: 1,
  });
  fc.assert(
    fc.property(steps, fc.integer({ min: 1024, max: 1e9 }), (taken, rate) => {
      let now = 10n ** 12n;
      const begun = now;
      let freeAt = 0n;
      let through = 0;
      for (const { bytes, pauseMs } of taken) {
        now += BigInt(pauseMs) * 1_000_000n;
        const turn = turnOf(bytes, rate, freeAt, now);
        freeAt = turn.freeAt;
        if (turn.beginsAt > now) now = turn.beginsAt;
        const seconds = Number(now - begun) / 1e9;
        // What went through before this turn began.
        expect(through).toBeLessThanOrEqual(rate * (seconds + BURST_S) + 1);
        through += bytes;
        expect(Number(turn.freeAt - turn.beginsAt)).toBeGreaterThanOrEqual((bytes / rate) * 1e9);
      }
      // After a pause that is long enough nobody waits.
      expect(turnOf(1, rate, freeAt, freeAt).beginsAt <= freeAt).toBe(true);
    }),
  );
});

test('without a limit, or while it is lifted, nobody waits', async () => {
  await waitTurn(1e15, signal);
  limitNode(SLOW);
  const lower = liftLimit();
  expect(isLimited()).toBe(false);
  await waitTurn(1e15, signal);
  lower();
  lower();
  expect(isLimited()).toBe(true);
});

test('who waits goes on when the limit is lifted, and ends when it is aborted', async () => {
  limitNode(SLOW);
  await waitTurn(HOUR_OF_BYTES, signal);
  const waiting = waitTurn(1, signal);
  const abort = new AbortController();
  const aborted = waitTurn(1, abort.signal);
  abort.abort(new Error('no more'));
  await expect(aborted).rejects.toThrow('no more');
  const lower = liftLimit();
  await waiting;
  lower();
});

test('a limit that is taken away, or made wider, holds nobody back', async () => {
  limitNode(SLOW);
  await waitTurn(HOUR_OF_BYTES, signal);
  const waiting = waitTurn(1, signal);
  limitNode(0);
  await waiting;
});

test('threads share it, and are woken as well', async () => {
  limitNode(SLOW);
  await waitTurn(HOUR_OF_BYTES, signal);
  const worker = new Worker(new URL('./fixture/waiter-child.ts', import.meta.url), { execArgv: ['-C', 'source'] });
  const said: string[] = [];
  worker.on('message', (word: string) => said.push(word));
  await once(worker, 'message');
  expect(said).toEqual(['begins']);
  const lower = liftLimit();
  await once(worker, 'message');
  expect(said).toEqual(['begins', 'went on']);
  lower();
  await worker.terminate();
});
