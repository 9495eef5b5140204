import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { systemClock } from '@stillpoint/shared/time';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { eventually } from '../../../../../test/harness/eventually.ts';
import { isAlive } from '../../../../../test/harness/processes.ts';
import { TYING_PROGRAM, tiedToAgent } from '../../process/index.ts';
import { liftLimit, limitNode } from '../../throttle/node.ts';
import { storeStream } from '../stored-file.ts';
import { bytesWritten } from './data-bytes.ts';
import { type Pace, paceOf } from './pace.ts';
import { type RunningImage, startImage } from './start-image.ts';

const MIB = 1024 * 1024;
/** Writes what zstd makes half of, and not so fast that much comes within a moment in which this process does not get its turn. */
const SOURCE = `
  const { randomFillSync } = require('node:crypto');
  const some = Buffer.alloc(65536);
  let left = Number(process.argv[1]);
  const write = () => { left -= 1; randomFillSync(some, 0, 32768); process.stdout.write(some, () => left > 0 && setTimeout(write, 10)); };
  write();`;

let home: string;
let launcher: readonly string[];
let abort: AbortController;
beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), 'stillpoint-pace-'));
  launcher = await tiedToAgent();
  abort = new AbortController();
});
afterEach(() => {
  abort.abort(new Error('over'));
  limitNode(0);
  rmSync(home, { recursive: true, force: true });
});

interface Paced {
  readonly running: RunningImage;
  readonly pace: Pace;
  readonly done: Promise<unknown>;
  /** What the source has written, and what was stored. */
  through(): Promise<{ readonly written: number; readonly stored: number }>;
}

/** So many times 64 KiB, on their way through zstd into a file. */
function paced(count: number): Paced {
  const { signal } = abort;
  const source = { program: process.execPath, args: ['-e', SOURCE, String(count)], launcher };
  const running = startImage(source, { level: 1, launcher }, signal);
  const pace = paceOf(running, { clock: systemClock, mayStop: launcher.length > 0, signal });
  let stored = 0;
  const counted = async (bytes: number): Promise<void> => {
    await pace.stored(bytes);
    stored += bytes;
  };
  const done = storeStream(running.stdout, join(home, 'out'), { pace: counted });
  done.catch(() => undefined);
  return { running, pace, done, through: async () => ({ written: (await bytesWritten(running.source.pid ?? 0)) ?? 0, stored }) };
}

/** The letter of its state in /proc: T is stopped. */
const stateOf = (pid = 0): string => /\) (\S)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1] ?? '';

test('no more goes through in some seconds than the limit says, and hardly less', { timeout: 30_000 }, async ({ skip }) => {
  skip(launcher.length === 0, 'setpriv of util-linux is missing: the compressor is not stopped');
  const rate = 2 * MIB;
  limitNode(rate);
  const begun = performance.now();
  const { through } = paced(4000);
  const ratios: number[] = [];
  while (performance.now() - begun < 5000) {
    await delay(250);
    const { written, stored } = await through();
    const seconds = (performance.now() - begun) / 1000;
    // What may be made up for at once, and what comes within one look, are no part of the rate.
    if (seconds > 2) ratios.push((written + stored) / (rate * (seconds + 0.5)));
  }
  expect(Math.max(...ratios)).toBeLessThan(1.1);
  expect(ratios.at(-1)).toBeGreaterThan(0.5);
});

test('while writers wait nothing is held back, and what stood goes on', async () => {
  limitNode(64);
  const { running, done, through } = paced(100);
  if (launcher.length > 0) await eventually(() => stateOf(running.sink?.pid) === 'T');
  const lower = liftLimit();
  try {
    await done;
    // At this rate it would have taken half a day.
    expect((await through()).stored).toBeGreaterThan(3 * MIB);
  } finally {
    lower();
  }
});

test('when the tool has read all, only what is stored is held back', async () => {
  limitNode(64);
  const { running, pace } = paced(4000);
  if (launcher.length > 0) await eventually(() => stateOf(running.sink?.pid) === 'T');
  pace.letGo();
  await eventually(() => stateOf(running.sink?.pid) !== 'T');
  await delay(50);
  expect(stateOf(running.sink?.pid)).not.toBe('T');
});

test('what is aborted while it stands ends at once', async () => {
  limitNode(1);
  const { running, done } = paced(4000);
  if (launcher.length > 0) await eventually(() => stateOf(running.sink?.pid) === 'T');
  abort.abort(new Error('given up'));
  await expect(running.done).rejects.toThrow();
  await done.catch(() => undefined);
  expect(isAlive(running.sink?.pid ?? 0)).toBe(false);
});

/** What runs before setpriv, and keeps its name for a while: on a busy machine that comes to its turn late. */
function delaying(): string[] {
  const program = join(home, TYING_PROGRAM);
  copyFileSync('/bin/sh', program);
  return [program, '-c', 'sleep 0.5; exec "$@"', 'sh'];
}

test.for([
  ['at once', () => []],
  ['late', delaying],
] as const)('a compressor that stands ends with an agent that is killed, tied to it %s', async ([, before], { skip }) => {
  skip(launcher.length === 0, 'setpriv of util-linux is missing: the compressor is not stopped');
  const fixture = fileURLToPath(new URL('./fixture/paced-child.ts', import.meta.url));
  const child: ChildProcess = spawn(process.execPath, ['-C', 'source', fixture, join(home, 'out'), ...before()], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [said] = (await once(child.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
  const pid = Number(said.toString());
  await eventually(() => stateOf(pid) === 'T');
  child.kill('SIGKILL');
  await eventually(() => !isAlive(pid));
});
