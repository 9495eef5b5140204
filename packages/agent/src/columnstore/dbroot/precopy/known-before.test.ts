import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ListedFile } from '@stillpoint/shared/manifest';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ScannedEntry } from '../entry.ts';
import type { FilledFile } from './orders.ts';
import { StampTable } from './stamp-table.ts';
import { StoredFiles } from './stored-files.ts';

const MTIME = '1700000000123456789';

const file = (path: string, fields: Partial<ListedFile> = {}): ListedFile => ({
  ...{ type: 'file', path, mode: '0660', owner: 'm:m', mtimeNs: MTIME, size: 10, sha256: '0'.repeat(64) },
  ...{ ctimeNs: '1700000001000000001', inode: '7', shard: -1, frame: 0, frameBytes: 1, at: 512 },
  ...fields,
});
const entry = (path: string, fields: Partial<ScannedEntry> = {}): ScannedEntry => ({
  ...{ type: 'file', path, mode: 0o660, uid: 1, gid: 1, size: 10, mtimeNs: MTIME, ctimeNs: '1700000001000000001', inode: '7', target: '' },
  ...fields,
});
const withoutStamp = ({ ctimeNs: _ctime, inode: _inode, ...rest }: ListedFile): ListedFile => rest;

async function* each<T>(all: readonly T[]): AsyncGenerator<T> {
  yield* all;
}

let home: string;
let stored: StoredFiles;
beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), 'stillpoint-known-before-'));
  stored = await StoredFiles.create(join(home, 'lines'));
});
afterEach(async () => {
  await stored.remove();
  rmSync(home, { recursive: true });
});

/** What a look that finds these entries lists of what is stored. */
async function good(...found: readonly ScannedEntry[]): Promise<ListedFile[]> {
  const table = new StampTable(stored.stamps);
  for (const each of found) if (!table.isSame(each, 1)) stored.forget(each.path);
  const all = await Array.fromAsync(stored.good(1));
  for (const { file: of, line } of all) expect(JSON.parse(line)).toEqual(of);
  return all.map(({ file: of }) => of);
}

test('files that were stored before are good for the stamp that they had, and not without one', async () => {
  await stored.seed(each([file('a'), withoutStamp(file('b')), file('c')]), 3);
  expect(await good(entry('a'), entry('b'), entry('c', { ctimeNs: '1700000001000000002' }))).toEqual([file('a')]);
});

test('one of the same size and time is known again by its line, whatever its stamp says', async () => {
  await stored.seed(each([file('a'), withoutStamp(file('b'))]), 2);
  expect(stored.lineLike(entry('a', { inode: '8' }))).toBe(1);
  expect(stored.lineLike(entry('b', { mtimeNs: '1700000000123456512' }))).toBe(2);
  expect(stored.lineLike(entry('b', { mtimeNs: '1700000000123457789' }))).toBe(0);
  expect(stored.lineLike(entry('a', { size: 11 }))).toBe(0);
  expect(stored.lineLike(entry('c'))).toBe(0);
  expect(await Array.fromAsync(stored.marked(Uint8Array.of(0, 0, 1)))).toEqual([{ number: 2, file: withoutStamp(file('b')) }]);
});

test('a line that was renewed is listed in its place, with what the file is now', async () => {
  const now = { mtimeNs: '1700000000123456512', ctimeNs: '1800000000000000000', inode: '18446744073709551615' };
  await stored.seed(each([withoutStamp(file('a')), file('b')]), 2);
  stored.renew(1, entry('a', now), { mode: '0600', owner: 'o:o' });
  expect(await good(entry('a', now), entry('b'))).toEqual([file('a', { ...now, mode: '0600', owner: 'o:o' }), file('b')]);
});

test('what is packed comes in the place of what was stored before, and nothing when it is not sure', async () => {
  await stored.seed(each([file('a'), file('b')]), 2);
  const filled = (path: string, isSure: boolean): FilledFile => {
    const line = `${JSON.stringify(file(path, { shard: 0 }))}\n`;
    return { stamp: entry(path), line, isSure, basis: undefined };
  };
  await stored.add([filled('a', true), filled('b', false)]);
  expect(stored.lineLike(entry('b'))).toBe(0);
  expect(await good(entry('a'), entry('b'))).toEqual([file('a', { shard: 0 })]);
});

test('what several threads have packed at the same time is known by its own lines', async () => {
  const name = (thread: number, index: number): string => `${thread}-${index}-${'x'.repeat(300)}`;
  const batch = (thread: number): FilledFile[] =>
    Array.from({ length: 900 }, (_, index) => {
      const path = name(thread, index);
      return { stamp: entry(path), line: `${JSON.stringify(file(path))}\n`, isSure: true, basis: undefined };
    });
  stored.makeRoom(2700);
  // One begins while another waits for the disk.
  await Promise.all([1, 2, 3].map((thread) => new Promise((resolve) => setImmediate(resolve)).then(() => stored.add(batch(thread)))));
  const all = [1, 2, 3].flatMap((thread) => batch(thread).map(({ stamp }) => entry(stamp.path)));
  expect(await good(...all)).toHaveLength(2700);
});

test('begun anew, nothing is known', async () => {
  await stored.seed(each([file('a')]), 1);
  stored = await stored.anew();
  expect(stored.lineLike(entry('a'))).toBe(0);
  expect(await good(entry('a'))).toEqual([]);
});
