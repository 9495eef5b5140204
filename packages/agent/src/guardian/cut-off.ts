import { readdir, readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Clock } from '@stillpoint/shared/time';
import { startedTicksOf } from '../host/index.ts';

const LOOK_EVERY_MS = 20;

/** What makes the engine read-only, by each program, and its first argument. What cmapi was asked for is in no process of this host. */
const SUSPENDING: readonly (readonly [program: string, argument: string])[] = [
  ['dbrmctl', 'readonly'],
  ['mcsadmin', 'suspendDatabaseWrites'],
];

/**
 * Kills every call that would make the engine read-only, and waits until they are gone, at most for `timeoutMs`. A program that a killed
 * agent has started goes on without it, and may do what it was started for when everybody believes that it is over. Never throws.
 */
export async function cutOff(timeoutMs: number, clock: Clock): Promise<void> {
  const endsMs = clock.monotonicMs() + timeoutMs;
  const found = await suspendingCalls();
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

async function suspendingCalls(): Promise<readonly number[]> {
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name)).map(Number);
  const isCall = await Promise.all(
    pids.map(async (pid) => {
      const argv = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
      // An interpreter may come first.
      return SUSPENDING.some(([program, argument]) => argv.some((word, at) => basename(word) === program && argv[at + 1] === argument));
    }),
  );
  return pids.filter((_, index) => isCall[index]);
}
