import { create } from '@bufbuild/protobuf';
import { ProveEngineResultSchema } from '@stillpoint/shared/proto';
import { expect, it } from 'vitest';
import { differencesOf, type EngineReading, proofFailure, standingDifferences } from './engine-proof.ts';

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

it('lets differences stand only where nothing moves', () => {
  const before = [
    reading('pm1', { still: '1 x', written: '5 e', gone: '1 x', mended: '1 x' }),
    reading('pm2', { still: '1 y', written: '6 f', mended: '1 y' }),
  ];
  const now = [
    reading('pm1', { still: '1 x', written: '8 h', gone: '1 x', mended: '1 x' }),
    reading('pm2', { still: '1 y', written: '9 i', mended: '1 x' }),
  ];
  expect([...standingDifferences(before, now).keys()]).toEqual(['shop.gone', 'shop.still']);
});
