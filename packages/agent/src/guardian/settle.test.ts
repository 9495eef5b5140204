import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { type Clock, systemClock } from '@stillpoint/shared/time';
import type { Logger } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startedTicksOf } from '../host/index.ts';
import { settleEarlierLife } from './settle.ts';

let stateDir: string;
beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'stillpoint-settle-'));
});
afterEach(() => rmSync(stateDir, { recursive: true }));

/** Settles an earlier life of which a guardian is left that ends by itself after so long; gives when that was done, in milliseconds, and what was logged. */
async function settled(leaseMs: number, endsMs: number): Promise<{ readonly atMs: number; readonly errors: readonly string[] }> {
  const guardian = spawn('sleep', ['60']);
  const file = join(stateDir, 'guardians', 'backup-1.pid');
  mkdirSync(join(stateDir, 'guardians'));
  writeFileSync(file, `${guardian.pid} ${await startedTicksOf(guardian.pid ?? 0)} holding ${leaseMs}\n`);
  let nowMs = 0;
  const clock: Clock = {
    ...systemClock,
    monotonicMs: () => nowMs,
    sleep: async (ms) => {
      nowMs += ms;
      if (nowMs >= endsMs) rmSync(file, { force: true });
      await setImmediate();
    },
  };
  const errors: string[] = [];
  const log = { warn: () => undefined, error: (_: unknown, message: string) => errors.push(message) } as unknown as Logger;
  let atMs = -1;
  const undoer = {
    begin: async () => {
      atMs = nowMs;
    },
    ended: () => Promise.resolve(),
    stop: () => Promise.resolve(),
  };
  await settleEarlierLife({ stateDir, clock, log, undoer });
  guardian.kill('SIGKILL');
  return { atMs, errors };
}

test('a guardian that lawfully holds for a long lease is waited for', async () => {
  expect(await settled(200_000, 150_000)).toEqual({ atMs: 150_000, errors: [] });
});

test('one that holds for longer than it may is killed', async () => {
  const { atMs, errors } = await settled(3_000, 150_000);
  expect(atMs).toBe(93_000);
  expect(errors).toEqual(['a guardian that does not end is killed']);
});
