import type { TableChecksum } from '@stillpoint/shared/manifest';
import { expect, test } from 'vitest';
import { compareChecksums } from './compare.ts';

const sum = (database: string, table: string, checksum: string): TableChecksum => ({ database, table, engine: 'InnoDB', checksum });

test('equal lists in any order are equal', () => {
  const cut = [sum('d', 'a', '1'), sum('d', 'b', '0')];
  const comparison = compareChecksums(cut, cut.toReversed());
  expect(comparison).toEqual({ equal: 2, differing: [], missing: [], extra: [] });
});

test('a table with another checksum, a missing and an extra one are told apart', () => {
  const cut = [sum('d', 'same', '1'), sum('d', 'other', '2'), sum('d', 'gone', '3')];
  const comparison = compareChecksums(cut, [sum('d', 'same', '1'), sum('d', 'other', '4'), sum('d', 'new', '5')]);
  expect(comparison).toEqual({ equal: 1, differing: ['d.other'], missing: ['d.gone'], extra: ['d.new'] });
});

test('tables of the same name in other databases are not mixed up, whatever dots their names hold', () => {
  const comparison = compareChecksums([sum('a.b', 'c', '1')], [sum('a', 'b.c', '1')]);
  expect(comparison).toMatchObject({ equal: 0, missing: ['a.b.c'], extra: ['a.b.c'] });
});

test('nothing compared with nothing is equal in nothing', () => {
  expect(compareChecksums([], [])).toEqual({ equal: 0, differing: [], missing: [], extra: [] });
});
