import { readdir, readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Clock } from '@stillpoint/shared/time';
import { startedTicksOf } from '../host/index.ts';

const LOOK_EVERY_MS = 20;

/**
 * Kills every call of `program` with `argument` as its first, and waits until they are gone, at most for `timeoutMs`. A program that a killed
 * agent has started goes on without it, and may do what it was started for when everybody believes that it is over.
 */
export async function cutOff(program: string, argument: string, timeoutMs: number, clock: Clock): Promise<void> {
  const endsMs = clock.monotonicMs() + timeoutMs;
  const found = await callsOf(program, argument);
  for (const pid of found) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // Gone already.
    }
  }
  for (const pid of found)
    while ((await startedTicksOf(pid)) !== undefined && clock.monotonicMs() < endsMs) await clock.sleep(LOOK_EVERY_MS);
}

async function callsOf(program: string, argument: string): Promise<readonly number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const isCall = await Promise.all(
    pids.map(async (pid) => {
      const argv = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
      // An interpreter may come first.
      return argv.some((word, at) => basename(word) === program && argv[at + 1] === argument);
    }),
  );
  return pids.filter((_, index) => isCall[index]);
}
