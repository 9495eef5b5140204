import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeEntry, type ListedFile } from '@stillpoint/shared/manifest';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ScannedEntry } from '../entry.ts';
import type { FilledFile } from './orders.ts';
import { StoredFiles } from './stored-files.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'stillpoint-stored-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const stamp = (path: string, ctimeNs = '1700000001000000001'): ScannedEntry => ({
  ...{ type: 'file', path, mode: 0o660, uid: 1, gid: 1, size: 10, target: '', mtimeNs: '1700000000123456789', ctimeNs, inode: '7' },
});
const lineOf = ({ path, mtimeNs, ctimeNs, inode, size }: ScannedEntry, shard = 0): string => {
  const place = { sha256: '0'.repeat(64), shard, frame: 0, frameBytes: 1, at: 512 };
  return encodeEntry({ type: 'file', path, mode: '0660', owner: 'm:m', size, mtimeNs, ctimeNs, inode, ...place } satisfies ListedFile);
};
const filled = (entry: ScannedEntry, fields: Partial<FilledFile> = {}): FilledFile => ({
  ...{ stamp: entry, line: lineOf(entry), isSure: true, basis: undefined },
  ...fields,
});
/** Of a file that has not changed, the number of the line that tells of it. */
const known = (files: StoredFiles, path: string): number => files.lineLike(stamp(path));

test('lines of an earlier life are taken up as far as they are good: the last of a file, and none of one whose stamp proves nothing', async () => {
  const path = join(directory, 'lines');
  const files = await StoredFiles.create(path);
  files.makeRoom(10);
  await files.add([
    filled(stamp('a')),
    filled(stamp('b')),
    filled(stamp('fresh'), { isSure: false }),
    filled(stamp('torn'), { line: undefined, isSure: false }),
  ]);
  await files.add([filled(stamp('b'))]);
  const good = await files.written();
  await files.add([filled(stamp('later'))]);
  await files.written();
  await files.close();
  appendFileSync(path, '{"a line that was being wri');

  const again = await StoredFiles.resume(path, good);
  expect(['a', 'b', 'fresh', 'torn', 'later'].map((name) => known(again, name))).toEqual([1, 3, 0, 0, 0]);
  expect(await again.written()).toEqual(good);
  await again.add([filled(stamp('c'))]);
  expect(await again.written()).toMatchObject({ count: 4 });
  expect(readFileSync(path, 'utf8')).toBe(['a', 'b', 'b', 'c'].map((name) => lineOf(stamp(name))).join(''));
  await again.remove();
});
