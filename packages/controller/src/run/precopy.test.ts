import { describe, expect, it } from 'vitest';
import { longestExpected, type Precopied } from './precopy.ts';

const pass = (bytes: number, ms: number, changedBytes: number): Precopied => ({ bytes, ms, changedBytes });

describe('what the still point is expected to take', () => {
  it('is that of the slowest node', () => {
    const passes = new Map([
      ['db1', [pass(1_000_000, 1_000, 500_000)]],
      ['db2', [pass(1_000_000, 2_000, 400_000)]],
    ]);
    expect(longestExpected(passes)).toEqual({ node: 'db2', ms: 800 });
  });

  it('goes by the best rate of a node, not by that of a short pass', () => {
    expect(longestExpected(new Map([['db1', [pass(1_000_000, 1_000, 9), pass(10, 100, 2_000)]]]))).toEqual({ node: 'db1', ms: 2 });
  });

  it('is nothing where nothing has changed, or nothing is known', () => {
    expect(longestExpected(new Map())).toBeUndefined();
    expect(longestExpected(new Map([['db1', [pass(1_000, 10, 0)]]]))).toBeUndefined();
    expect(longestExpected(new Map([['db1', []]]))).toBeUndefined();
  });
});
