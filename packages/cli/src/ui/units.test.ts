import { describe, expect, it } from 'vitest';
import { count, formatBytes, formatRate, formatShare, formatTime } from './units.ts';

describe('units', () => {
  it.each([
    [0, '0 B'],
    [1, '1 B'],
    [1023, '1023 B'],
    [1024, '1.00 KiB'],
    [1536, '1.50 KiB'],
    [10_239, '10.0 KiB'],
    [102_400, '100 KiB'],
    [1_048_575, '1.00 MiB'],
    [1.25 * 1024 ** 3, '1.25 GiB'],
    [2 ** 60, '1024 PiB'],
  ])('shows %d bytes as %s', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });

  it('shows rates, times and numbers of things', () => {
    expect(formatRate(118 * 1024 ** 2)).toBe('118 MiB/s');
    expect(formatTime('2026-11-21T09:15:03.120Z')).toBe('2026-11-21 09:15:03 UTC');
    expect(formatTime('')).toBe('');
    expect([count(1, 'node'), count(0, 'node')]).toEqual(['1 node', '0 nodes']);
  });

  it('never shows all before all is done', () => {
    expect(formatShare(999, 1000)).toBe('99 %');
    expect(formatShare(1000, 1000)).toBe('100 %');
    expect(formatShare(7, 0)).toBe('');
  });
});
