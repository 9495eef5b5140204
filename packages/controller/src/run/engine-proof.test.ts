import { create } from '@bufbuild/protobuf';
import { ProveEngineResultSchema } from '@stillpoint/shared/proto';
import { describe, expect, it } from 'vitest';
import { differencesOf, type EngineReading, proofFailure, verdictOf } from './engine-proof.ts';

/** What a node has read: rows and digest by table. */
const reading = (node: string, tables: Readonly<Record<string, string>>): EngineReading => ({
  node,
  result: create(ProveEngineResultSchema, {
    tables: Object.entries(tables).map(([table, text]) => {
      const [rows = '0', digest = ''] = text.split(' ');
      return { database: 'shop', table, rows: BigInt(rows), digest };
    }),
  }),
});

it('finds nothing in what all nodes read alike', () => {
  expect(differencesOf([reading('pm1', { a: '1 x' }), reading('pm2', { a: '1 x' }), reading('pm3', { a: '1 x' })]).size).toBe(0);
  expect(differencesOf([]).size).toBe(0);
});

it('names table and nodes of rows, content and tables that differ', () => {
  const differences = differencesOf([
    reading('pm1', { a: '1 x', b: '2 y', c: '3 z' }),
    reading('pm2', { a: '1 x', b: '2 other' }),
    reading('pm3', { a: '9 x', b: '2 y', c: '3 z' }),
  ]);
  expect([...differences.values()]).toEqual([
    'shop.b reads differently on pm1 (y) and on pm2 (other)',
    'shop.c can be read on pm1 and is not there on pm2',
    'shop.a has 1 rows on pm1 and 9 on pm3',
  ]);
  expect(proofFailure(differences)).toMatchObject({ code: 'ENGINE_PROOF_FAILED', message: expect.stringContaining('shop.c can be read') });
});

/** Rounds of what each node reads; a round of one node that has moved on, and so on. */
const rounds = (...tables: readonly (readonly Readonly<Record<string, string>>[])[]) =>
  tables.map((nodes) => nodes.map((read, at) => reading(`pm${at + 1}`, read)));
const names = (read: ReturnType<typeof rounds>, isLast = false) => {
  const { failed, open } = verdictOf(read, isLast);
  return { failed: [...failed.keys()], open: [...open.keys()] };
};

describe('the verdict on rounds of reading', () => {
  it('is open after the first, and fails what stands still or is missing twice', () => {
    const first = [
      { still: '1 x', written: '5 e', gone: '1 x', mended: '1 x', new: '1 x' },
      { still: '1 y', written: '6 f', mended: '1 y' },
    ];
    expect(names(rounds(first))).toEqual({ failed: [], open: ['shop.gone', 'shop.mended', 'shop.new', 'shop.still', 'shop.written'] });
    const second = [
      { still: '1 x', written: '8 h', gone: '2 y', mended: '1 x', new: '2 x' },
      { still: '1 y', written: '9 i', mended: '1 x', new: '2 x' },
    ];
    expect(names(rounds(first, second))).toEqual({ failed: ['shop.gone', 'shop.still'], open: ['shop.written'] });
    expect(verdictOf(rounds(first, second), false).failed.get('shop.gone')).toBe('shop.gone can be read on pm1 and is not there on pm2');
  });

  it('takes what was equal once for equal', () => {
    const equal = [{ a: '1 x' }, { a: '1 x' }];
    const differs = [{ a: '1 x' }, { a: '2 y' }];
    expect(names(rounds(differs, equal, differs), true)).toEqual({ failed: [], open: [] });
  });

  it('fails in the end what one node has always read alike while others saw it change', () => {
    const read = rounds([{ a: '1 a' }, { a: '0 z' }], [{ a: '2 b' }, { a: '0 z' }], [{ a: '3 c' }, { a: '0 z' }]);
    expect(names(read)).toEqual({ failed: [], open: ['shop.a'] });
    expect([...verdictOf(read, true).failed.values()]).toEqual([
      'shop.a reads the same on pm2 every time, while other nodes see it change',
    ]);
    const moving = rounds([{ a: '1 a' }, { a: '0 z' }], [{ a: '2 b' }, { a: '1 y' }], [{ a: '3 c' }, { a: '2 x' }]);
    expect(names(moving, true)).toEqual({ failed: [], open: ['shop.a'] });
  });
});
