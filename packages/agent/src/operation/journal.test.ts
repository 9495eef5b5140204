import { appendFile, mkdtemp, readdir, readFile, rm, stat, truncate, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Journal, type JournalEntry, lastRecordedMs, openJournal } from './journal.ts';

let stateDir: string;
let journal: Journal;
beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'stillpoint-journal-'));
  journal = await openJournal(stateDir);
});
afterEach(() => rm(stateDir, { recursive: true, force: true }));

const at = '2026-01-02T03:04:05.000Z';
const file = (operationId: string): string => join(stateDir, 'operations', `${operationId}.jsonl`);
const held = (waitedMs: number): JournalEntry => ({ type: 'held', at, waitedMs });

test('what is appended is there for the next life, in order, however many come at once', async () => {
  await Promise.all(Array.from({ length: 20 }, (_, n) => journal.append('a', held(n))));
  const next = await openJournal(stateDir);
  expect(await next.read('a')).toEqual(Array.from({ length: 20 }, (_, n) => held(n)));
  expect(await next.read('unknown')).toEqual([]);
});

test('nobody but the agent can read it', async () => {
  await journal.append('a', held(1));
  expect((await stat(join(stateDir, 'operations'))).mode & 0o777).toBe(0o700);
  expect((await stat(file('a'))).mode & 0o777).toBe(0o600);
});

test('a line torn by a crash at any byte is passed over, and the next one is not swallowed by it', async () => {
  await journal.append('a', held(1));
  const { size: whole } = await stat(file('a'));
  await journal.append('a', held(2));
  const { size } = await stat(file('a'));
  for (let cut = whole + 1; cut < size; cut++) {
    await truncate(file('a'), cut);
    const next = await openJournal(stateDir);
    const before = await next.read('a');
    // Without its line end alone, the entry is whole.
    expect(before).toEqual(cut === size - 1 ? [held(1), held(2)] : [held(1)]);
    await next.append('a', held(3));
    expect(await next.read('a')).toEqual([...before, held(3)]);
    await truncate(file('a'), whole);
    await next.append('a', held(2));
  }
});

test('bytes that a power cut left behind are passed over', async () => {
  await journal.append('a', held(1));
  await appendFile(file('a'), Buffer.alloc(512));
  await journal.append('a', held(2));
  expect(await journal.read('a')).toEqual([held(1), held(2)]);
});

test('operations are told oldest first; old ones and those beyond a number are forgotten', async () => {
  const now = new Date('2026-06-01T00:00:00Z');
  for (const [id, daysAgo] of Object.entries({ old: 31, third: 3, second: 2, first: 1 })) {
    await journal.append(id, held(1));
    const when = new Date(now.getTime() - daysAgo * 86_400_000);
    await utimes(file(id), when, when);
  }
  expect(await journal.operations()).toEqual(['old', 'third', 'second', 'first']);
  expect(await lastRecordedMs(stateDir)).toBe(now.getTime() - 86_400_000);
  await journal.prune({ days: 30, keep: 2, now });
  expect(await readdir(join(stateDir, 'operations'))).toHaveLength(2);
  expect(await journal.operations()).toEqual(['second', 'first']);
});

test('each entry is one line of JSON', async () => {
  await journal.append('a', { type: 'let-go', at, blockedMs: 5, reason: 'LOCK_TIMEOUT: two\nlines' });
  expect((await readFile(file('a'), 'utf8')).split('\n')).toHaveLength(2);
});
