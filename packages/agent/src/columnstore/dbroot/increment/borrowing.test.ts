import type { BorrowedShard } from '@stillpoint/shared/manifest';
import { expect, test } from 'vitest';
import { Borrowing } from './borrowing.ts';

const shard = (set: string, name: string): BorrowedShard => ({
  ...{ set, node: 'pm1', name, content: 'dbroot', encoding: 'tar+zstd', storedBytes: 1, sha256: '0'.repeat(64) },
});

/** Two of its own, and two that it borrows itself, oldest first. */
const parent = {
  ...{ setId: 'third', ownArchives: 2, files: 9, lookedAtMs: 1, list: () => (async function* () {})() },
  archives: [shard('third', 'base'), shard('third', 'delta'), shard('first', 'base'), shard('second', 'delta')],
};

test('what is borrowed is named oldest first, and counted on behind what is not', () => {
  const borrowing = new Borrowing(parent);
  borrowing.add(1, { size: 10 });
  borrowing.add(2, { size: 5 });
  borrowing.add(1, { size: 1 });
  expect(borrowing.all).toEqual({ shards: [shard('first', 'base'), shard('third', 'delta')], files: 3, dataBytes: 16 });
  expect([...borrowing.places(4)]).toEqual([
    [2, 4],
    [1, 5],
  ]);
});

test('without a file nothing is', () => {
  expect(new Borrowing(parent).all).toBeUndefined();
});
