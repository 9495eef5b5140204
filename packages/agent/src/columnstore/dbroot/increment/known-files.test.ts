import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ListedFile } from '@stillpoint/shared/manifest';
import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import type { ScannedEntry } from '../entry.ts';
import { KnownFiles } from './known-files.ts';
import { surely } from './parent-files.ts';

const NOW: ScannedEntry = {
  ...{ type: 'file', path: 'a', mode: 0o660, uid: 1, gid: 1, size: 10, target: '' },
  ...{ mtimeNs: '1700000000123456789', ctimeNs: '1700000001000000001', inode: '7' },
};
const KNOWN: ListedFile = {
  ...{ type: 'file', path: 'a', mode: '0660', owner: 'm:m', size: 10, sha256: '0'.repeat(64), shard: 0, frame: 0, frameBytes: 1, at: 512 },
  ...{ mtimeNs: NOW.mtimeNs, ctimeNs: NOW.ctimeNs, inode: NOW.inode },
};

/** Those of a parent, as they are kept. */
async function knownFiles(...all: readonly ListedFile[]): Promise<KnownFiles> {
  const home = mkdtempSync(join(tmpdir(), 'stillpoint-known-'));
  const list = async function* (): AsyncGenerator<ListedFile> {
    yield* all;
  };
  const parent = { setId: 'x', archives: [], ownArchives: 0, files: all.length, lookedAtMs: 1_800_000_000_000, list };
  const files = await KnownFiles.read(parent, join(home, 'known'), new AbortController().signal);
  onTestFinished(() => {
    files.remove();
    rmSync(home, { recursive: true, force: true });
  });
  return files;
}

test.each([
  ['all stamps', {}, {}, 'same'],
  ['another place on disk', { inode: '8' }, {}, 'read'],
  ['another ctime', { ctimeNs: '1700000001000000002' }, {}, 'read'],
  ['no stamps that prove anything', {}, { ctimeNs: undefined, inode: undefined }, 'read'],
  ['a time that a restore has rounded', { mtimeNs: '1700000000123456512', inode: '8' }, {}, 'read'],
  ['another time', { mtimeNs: '1700000000123457789' }, {}, 'changed'],
  ['an earlier time', { mtimeNs: '1700000000123455789' }, {}, 'changed'],
  ['another size', { size: 11 }, {}, 'changed'],
] as const)('%s', async (_what, now, known, verdict) => {
  const files = await knownFiles({ ...KNOWN, ...known } as ListedFile);
  expect(files.verdictOf({ ...NOW, ...now }).kind).toBe(verdict);
});

test('a file that is not in the parent, or whose stamps were renewed', async () => {
  const files = await knownFiles(KNOWN);
  expect(files.verdictOf({ ...NOW, path: 'b' })).toEqual({ kind: 'changed', number: undefined });
  const restored = { ...NOW, inode: '8' };
  expect(files.verdictOf(restored)).toEqual({ kind: 'read', number: 0 });
  files.renew(0, { ...KNOWN, inode: '8' });
  expect(files.verdictOf(restored)).toEqual({ kind: 'same', number: 0 });
  expect(files.file(0)).toEqual({ ...KNOWN, inode: '8' });
});

test('lines come back with the number of their archive, whatever their files are called, and however they are read', async () => {
  const name = fc.oneof(
    fc.constantFrom(',"shard":7,', '\\","shard":7,"', 'é\u0001'),
    fc.string({ unit: 'binary', minLength: 1, maxLength: 3000 }),
  );
  const some = fc.uniqueArray(name, { minLength: 1, maxLength: 300 });
  await fc.assert(
    fc.asyncProperty(some, fc.array(fc.nat(), { maxLength: 40 }), fc.nat(1e6), async (names, order, shard) => {
      const all = names.map((path, index): ListedFile => ({ ...KNOWN, path, shard: index, size: index }));
      const files = await knownFiles(...all);
      const numbers = [...all.keys(), ...order.map((each) => each % all.length)];
      for (const number of numbers) {
        expect(JSON.parse(files.lineIn(shard, number))).toEqual({ ...all[number], shard });
        expect(files.placeOf(number)).toEqual({ shard: number, size: number });
        expect(files.numberOf(names[number] ?? '')).toBe(number);
      }
    }),
    { numRuns: 30 },
  );
});

test('stamps of a file that was changed just before the look at it prove nothing', () => {
  const changedAtMs = 1_700_000_001_000;
  expect(surely(KNOWN, changedAtMs + 30)).not.toHaveProperty('ctimeNs');
  expect(surely(KNOWN, changedAtMs + 30)).not.toHaveProperty('inode');
  expect(surely(KNOWN, changedAtMs + 500)).toEqual(KNOWN);
});
