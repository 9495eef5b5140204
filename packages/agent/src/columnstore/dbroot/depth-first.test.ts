import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import { depthFirst } from './depth-first.ts';
import type { ScannedEntry } from './entry.ts';
import { entryOfLine } from './line.ts';

const entry = (path: string): ScannedEntry => ({
  ...{ type: 'directory', path, mode: 0o755, uid: 0, gid: 0, size: 0, mtimeNs: '1', ctimeNs: '1', inode: '1', target: '' },
});

async function* each<T>(all: readonly T[]): AsyncGenerator<T> {
  yield* all;
}

/** What lies in a directory, without it. */
const within = (directory: string, paths: readonly string[]): string[] => paths.filter((path) => path.startsWith(`${directory}/`));

test('each directory stands directly before all that lies in it, however many there are', async () => {
  const home = mkdtempSync(join(tmpdir(), 'stillpoint-order-'));
  onTestFinished(() => rmSync(home, { recursive: true }));
  // Names of characters that sort before and behind the slash.
  const name = fc.string({ unit: fc.constantFrom('a', '.', ' ', '\u0001', 'é'), minLength: 1, maxLength: 3 });
  const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((names) => names.join('/'));
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(path, { maxLength: 60 }), fc.integer({ min: 1, max: 40 }), async (paths, run) => {
      const file = await depthFirst(each(paths.map(entry)), join(home, 'lines'), run);
      const sorted = (await Array.fromAsync(file.lines())).map((line) => entryOfLine(line).path);
      expect(readdirSync(home)).toEqual(['lines']);
      await file.remove();
      expect(sorted.toSorted()).toEqual(paths.toSorted());
      for (const [at, directory] of sorted.entries()) {
        const inIt = within(directory, sorted);
        expect(sorted.slice(at + 1, at + 1 + inIt.length)).toEqual(inIt);
      }
    }),
  );
});
