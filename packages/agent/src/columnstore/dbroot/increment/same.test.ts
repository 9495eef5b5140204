import type { ListedFile } from '@stillpoint/shared/manifest';
import { expect, test } from 'vitest';
import type { ScannedEntry } from '../entry.ts';
import { surely } from './parent-files.ts';
import { verdictOf } from './same.ts';

const NOW: ScannedEntry = {
  ...{ type: 'file', path: 'a', mode: 0o660, uid: 1, gid: 1, size: 10, target: '' },
  ...{ mtimeNs: '1700000000123456789', ctimeNs: '1700000001000000001', inode: '7' },
};
const KNOWN: ListedFile = {
  ...{ type: 'file', path: 'a', mode: '0660', owner: 'm:m', size: 10, sha256: '0'.repeat(64), shard: 0, frame: 0, frameBytes: 1, at: 512 },
  ...{ mtimeNs: NOW.mtimeNs, ctimeNs: NOW.ctimeNs, inode: NOW.inode },
};

test.each([
  ['all stamps', {}, {}, 'same'],
  ['another place on disk', { inode: '8' }, {}, 'read'],
  ['another ctime', { ctimeNs: '1700000001000000002' }, {}, 'read'],
  ['no stamps that prove anything', {}, { ctimeNs: undefined, inode: undefined }, 'read'],
  ['a time that a restore has rounded', { mtimeNs: '1700000000123456512', inode: '8' }, {}, 'read'],
  ['another time', { mtimeNs: '1700000000123457789' }, {}, 'changed'],
  ['an earlier time', { mtimeNs: '1700000000123455789' }, {}, 'changed'],
  ['another size', { size: 11 }, {}, 'changed'],
] as const)('%s', (_what, now, known, verdict) => {
  expect(verdictOf({ ...NOW, ...now }, { ...KNOWN, ...known } as ListedFile)).toBe(verdict);
});

test('stamps of a file that was changed just before the look at it prove nothing', () => {
  const changedAtMs = 1_700_000_001_000;
  expect(surely(KNOWN, changedAtMs + 30)).not.toHaveProperty('ctimeNs');
  expect(surely(KNOWN, changedAtMs + 30)).not.toHaveProperty('inode');
  expect(surely(KNOWN, changedAtMs + 500)).toEqual(KNOWN);
});
