import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import { StillpointError } from '@stillpoint/shared/errors';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ScannedEntry } from '../entry.ts';
import { entryOfLine } from '../line.ts';
import { scan } from '../scanning/scanner.ts';
import { linesIn } from '../scanning/unmoved.ts';
import { type DbrootPacking, type PackedDbroot, packDbroot } from './pack.ts';

let home: string;
let threads: Worker[];
let ended: number;
const onThread = (thread: Worker): void => {
  threads.push(thread);
  thread.once('exit', () => {
    ended += 1;
  });
};
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'stillpoint-pack-'));
  for (const name of ['data', 'part']) mkdirSync(join(home, name));
  for (let index = 0; index < 6; index += 1) writeFileSync(join(home, 'data', `large${index}`), Buffer.alloc(3_000_000, `${index} `));
  for (let index = 0; index < 600; index += 1) writeFileSync(join(home, 'data', `small${index}`), `of file ${index}`);
  threads = [];
  ended = 0;
  process.on('worker', onThread);
});
afterEach(() => {
  process.off('worker', onThread);
  rmSync(home, { recursive: true, force: true });
});

/** What lies in a directory, looked at here. */
function entriesIn(root: string): ScannedEntry[] {
  const from = { root, restless: new Set<string>() };
  return linesIn(scan(from, { kind: 'scan', directories: [''], tell: 'all', isAlive: false }).lines).map(entryOfLine);
}

async function* each<T>(all: readonly T[]): AsyncGenerator<T> {
  yield* all;
}

async function pack(fields: Partial<DbrootPacking> = {}): Promise<PackedDbroot> {
  const root = join(home, 'data');
  const part = join(home, 'part');
  const { signal } = new AbortController();
  const entries = { all: () => each(entriesIn(root)), plain: () => each<ScannedEntry>([]) };
  return packDbroot({
    ...{ number: 1, root, isCopy: false, entries, restless: new Set<string>(), part, shards: 2, level: 1, recipients: [] },
    ...{ onBytes: () => {}, signal },
    ...fields,
  });
}

const failureOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => {
      throw new Error('it did not fail');
    },
    (error: unknown) => error,
  );

test('every shard has its thread, and none is left when it is done', async () => {
  let bytes = 0;
  const { archives, dataBytes } = await pack({ onBytes: (more) => (bytes += more) });
  expect([archives.length, threads.length, ended]).toEqual([2, 2, 2]);
  expect(dataBytes).toBe(bytes);
  expect(dataBytes).toBeGreaterThan(6 * 3_000_000);
});

test.each([
  ['before it has begun', () => 0],
  ['amid its work', () => 5_000_000],
])('a thread that dies %s fails the capture, and the others end', async (_when, after) => {
  let bytes = 0;
  const kill = (): void => void threads[0]?.terminate();
  const onBytes = (more: number): void => {
    bytes += more;
    if (bytes >= after()) kill();
  };
  if (after() === 0) process.once('worker', (thread: Worker) => void thread.terminate());
  const error = await failureOf(pack({ onBytes }));
  expect(error).toBeInstanceOf(StillpointError);
  expect(error).toMatchObject({
    code: 'CAPTURE_FAILED',
    message: expect.stringMatching(
      /^The thread of the agent that packs .*\/part\/dbroot1\.base\.0\.tar\.zst has died: it ended with code \d$/,
    ),
  });
  expect([threads.length, ended]).toEqual([2, 2]);
});

test('a capture that is aborted ends its threads in the middle of a large file', async () => {
  const abort = new AbortController();
  const lost = new StillpointError('HOLD_LOST', 'the hold is lost');
  let bytes = 0;
  const onBytes = (more: number): void => {
    bytes += more;
    abort.abort(lost);
  };
  const error = await failureOf(pack({ onBytes, signal: abort.signal }));
  expect(error).toBe(lost);
  expect([threads.length, ended]).toEqual([2, 2]);
  expect(bytes).toBeLessThan(18_000_000);
});

test('what fails once all is read fails the capture, and no thread is left', async () => {
  const moved = new StillpointError('CAPTURE_MOVED', 'a file has moved');
  expect(await failureOf(pack({ onceRead: () => Promise.reject(moved) }))).toBe(moved);
  expect([threads.length, ended]).toEqual([2, 2]);
});

test('copies are compared by their sizes, originals by their stamps', async () => {
  const aged = {
    all: () => each(entriesIn(join(home, 'data')).map((entry) => ({ ...entry, ctimeNs: '1', inode: '1' }))),
    plain: () => each<ScannedEntry>([]),
  };
  await pack({ entries: aged, isCopy: true, number: 2 });
  expect(await failureOf(pack({ entries: aged, isCopy: false, number: 3 }))).toMatchObject({
    code: 'CAPTURE_MOVED',
    message: expect.stringMatching(/large\d changed while the engine was suspended$/),
  });
});
