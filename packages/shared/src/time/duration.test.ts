import { describe, expect, it } from 'vitest';
import { formatDuration, parseDuration } from './index.ts';

describe('parseDuration', () => {
  it.each([
    ['250ms', 250],
    ['0s', 0],
    ['10s', 10_000],
    ['1.5m', 90_000],
    ['2h', 7_200_000],
    ['7d', 604_800_000],
    [' 10s ', 10_000],
    ['0.0004s', 0],
  ])('%s is %d ms', (text, ms) => expect(parseDuration(text)).toBe(ms));

  it.each(['', '10', 's', '-1s', '1e3s', '10 s', '10S', '1w', '1m30s', 'Infinitys', '.5s', '0x10s', '99999999999h', `${'9'.repeat(400)}d`])(
    '"%s" is not a duration',
    (text) => expect(parseDuration(text)).toBeUndefined(),
  );
});

describe('formatDuration', () => {
  it.each([
    [0, '0 ms'],
    [13.6, '14 ms'],
    [999.4, '999 ms'],
    [999.6, '1.00 s'],
    [2_310, '2.31 s'],
    [9_999, '10.0 s'],
    [59_940, '59.9 s'],
    [59_999, '1 m 00 s'],
    [60_000, '1 m 00 s'],
    [119_700, '2 m 00 s'],
    [192_000, '3 m 12 s'],
    [3_599_600, '1 h 00 m'],
    [3_900_000, '1 h 05 m'],
    [7_199_000, '2 h 00 m'],
    [90_000_000, '25 h 00 m'],
  ])('%d ms is %s', (ms, text) => expect(formatDuration(ms)).toBe(text));
});
