import { expect, it } from 'vitest';
import { type Summary, tableLines } from './teller.ts';

const lines = (summary: Partial<Summary>): string[] =>
  tableLines({ ok: false, block: {}, sizes: {}, times: {}, checks: [], ...summary }, (ok) => (ok ? 'ok' : 'no'));

it('a demo that ended early shows no empty headings', () => {
  expect(lines({})).toEqual([]);
  const checks = [{ name: 'Nothing is left running', ok: true, seen: '0 processes' }];
  expect(lines({ checks })).toEqual(['', '  Checks', expect.stringMatching(/^ {2}ok Nothing is left running +0 processes$/)]);
  expect(lines({ times: { backup: 1500 } })).toEqual(['', '  Times', expect.stringMatching(/^ {4}backup +1\.5 s$/)]);
});
