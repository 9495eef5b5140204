import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import type { SimulatedAnswer, SimulatedTask } from './fixture/simulated-child.ts';

const CHILD = fileURLToPath(new URL('./fixture/simulated-child.ts', import.meta.url));

/** Threads that collect beside the work come late on a busy machine. */
const GC = ['--max-semi-space-size=2', '--single-threaded-gc'];

/** A process of its own, whose young objects have little room: what it keeps is what its memory shows. */
const inChild = (task: SimulatedTask): SimulatedAnswer =>
  JSON.parse(execFileSync(process.execPath, ['-C', 'source', ...GC, CHILD, JSON.stringify(task)], { encoding: 'utf8' })) as SimulatedAnswer;

const FEW = 100_000;
const MANY = 400_000;
/** What 300,000 more entries may take, bytes. Where stamps are compared it is some 90 for each; kept as objects or lines they would take 500 and more. */
const MOST_MORE = { read: 60e6, diff: 110e6 };

test('memory does not grow with the lists that are read and compared, but by a few bytes an entry', { timeout: 400_000 }, () => {
  const home = mkdtempSync(join(tmpdir(), 'stillpoint-lists-'));
  onTestFinished(() => rmSync(home, { recursive: true, force: true }));
  const peaks = [FEW, MANY].map((entries) => {
    const [raw, to] = [join(home, `${entries}.jsonl`), join(home, `${entries}.zst`)];
    inChild({ kind: 'raw', entries, to: raw, isChanged: false });
    const { list } = inChild({ kind: 'write', entries, from: raw, to });
    if (list === undefined) throw new Error('no list was written');
    const read = inChild({ kind: 'read', entries, list });
    const diff = inChild({ kind: 'diff', entries, list, to: `${to}.next` });
    expect(read.counted).toBe((entries * 4) / 5);
    expect(diff.counted).toBe(entries / 100);
    return { read: read.peakBytes, diff: diff.peakBytes };
  });
  const [few, many] = peaks;
  expect((many?.read ?? 0) - (few?.read ?? 0)).toBeLessThan(MOST_MORE.read);
  expect((many?.diff ?? 0) - (few?.diff ?? 0)).toBeLessThan(MOST_MORE.diff);
});
