import type { BigIntStats } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StampTable, tableMemory } from '../precopy/stamp-table.ts';
import { Digest } from './digest.ts';
import { StatWords } from './stat.ts';

interface Seen {
  readonly within: string;
  readonly name: string;
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly ino: bigint;
}

const wordsOf = (seen: Seen): StatWords => new StatWords().set(seen as unknown as BigIntStats);

function add(digest: Digest, seen: Seen): void {
  digest.enter(seen.within);
  digest.add('file', seen.name, wordsOf(seen));
}

function digestOf(...all: readonly Seen[]): bigint {
  const digest = new Digest();
  for (const seen of all) add(digest, seen);
  return digest.sum;
}

const number = fc.bigInt({ min: 0n, max: 2n ** 63n - 1n });
const text = fc.string({ unit: 'binary', maxLength: 6 });
const files = fc.uniqueArray(fc.record({ within: text, name: text, size: number, mtimeNs: number, ctimeNs: number, ino: number }), {
  selector: ({ within, name }) => JSON.stringify([within, name]),
  minLength: 2,
  maxLength: 20,
});

test('a digest is the same in whatever order, and by however many threads', () => {
  fc.assert(
    fc.property(files, fc.nat(), (all, cut) => {
      const at = cut % all.length;
      expect(digestOf(...all.toReversed())).toBe(digestOf(...all));
      expect(BigInt.asUintN(64, digestOf(...all.slice(0, at)) + digestOf(...all.slice(at)))).toBe(digestOf(...all));
    }),
  );
});

test('one bit of a stamp, a file more or less, another place, or two that are exchanged make another digest', () => {
  fc.assert(
    fc.property(files, fc.constantFrom('size', 'mtimeNs', 'ctimeNs', 'ino'), fc.integer({ min: 0, max: 62 }), (all, key, bit) => {
      const [first, second, ...others] = all as [Seen, Seen, ...Seen[]];
      const flipped = (seen: Seen): Seen => ({ ...seen, [key]: seen[key] ^ (1n << BigInt(bit)) });
      const moved = { ...first, within: `${first.within}x` };
      const before = digestOf(...all);
      for (const after of [
        [flipped(first), second],
        [flipped(first), flipped(second)],
        [second],
        [moved, second],
        [{ ...first, name: `${first.name}x` }, second],
      ])
        expect(digestOf(...after, ...others)).not.toBe(before);
      const exchanged = [
        { ...first, [key]: second[key] },
        { ...second, [key]: first[key] },
      ];
      if (first[key] !== second[key]) expect(digestOf(...exchanged, ...others)).not.toBe(before);
    }),
  );
});

test('what is a file, a directory or a link, and where a link leads, is part of it', () => {
  const of = (type: 'file' | 'directory' | 'link', stamp?: string): bigint => {
    const digest = new Digest();
    digest.enter('');
    digest.add(type, 'x', stamp);
    return digest.sum;
  };
  const all = [of('file'), of('directory'), of('link', 'here'), of('link', 'there'), of('link', '')];
  expect(new Set(all).size).toBe(all.length);
});

test('a table of stamps knows a file by its numbers as it does by its text', () => {
  fc.assert(
    fc.property(files, ([seen, other]) => {
      const stampOf = ({ name, size, mtimeNs, ctimeNs, ino }: Seen) => ({
        ...{ path: name, size: Number(size), mtimeNs: String(mtimeNs), ctimeNs: String(ctimeNs), inode: String(ino) },
      });
      if (seen === undefined || other === undefined) return;
      const table = new StampTable(tableMemory(10));
      table.record(stampOf(seen), 1);
      for (const now of [
        seen,
        { ...other, name: seen.name },
        { ...seen, ctimeNs: seen.ctimeNs ^ (1n << 40n) },
        { ...seen, ino: seen.ino ^ 1n },
      ]) {
        const expected = table.isSame(stampOf(now), 1);
        expect(table.isSameStat(now.name, Number(now.size), wordsOf(now).halves, 1)).toBe(expected);
      }
      expect(table.isSameStat(seen.name, Number(seen.size), wordsOf(seen).halves, 1)).toBe(true);
    }),
  );
});
