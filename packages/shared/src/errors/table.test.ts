import { status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { ERROR_TABLE, type ErrorRow, EXIT, EXIT_MEANING, isErrorCode, StillpointError } from './index.ts';

const rows = Object.entries<ErrorRow>(ERROR_TABLE);

describe('the error table', () => {
  it.each(rows)('%s has everything a row needs', (code, row) => {
    expect(code).toMatch(/^[A-Z]+(_[A-Z]+)*$/);
    expect(row.exit).not.toBe('OK');
    expect(EXIT[row.exit]).toBeGreaterThan(0);
    expect(status[row.grpc]).toBeTypeOf('number');
    expect(row.grpc).not.toBe('OK');
    expect(row.summary).toMatch(/^\S.{8,}\.$/);
    expect(row.hint).toMatch(/^\S.{8,}[.?]$/);
    expect(row.hint).not.toBe(row.summary);
  });

  it('says a thing once', () => {
    expect(new Set(rows.map(([, { summary }]) => summary)).size).toBe(rows.length);
  });

  it('gives an error its row and its hint', () => {
    const error = new StillpointError('NODE_BUSY', 'claimed by backup-1');
    expect(error.row).toBe(ERROR_TABLE.NODE_BUSY);
    expect(error.hint).toBe(ERROR_TABLE.NODE_BUSY.hint);
    expect(new StillpointError('NODE_BUSY', 'x', { hint: 'Wait.' }).hint).toBe('Wait.');
  });

  it('is closed', () => {
    expect(isErrorCode('NODE_BUSY')).toBe(true);
    for (const other of ['NODE_BUSY2', 'toString', '__proto__', '']) expect(isErrorCode(other)).toBe(false);
  });

  it('uses every exit code, each of which has a number of its own', () => {
    const used = new Set(rows.map(([, { exit }]) => exit));
    const all = Object.keys(EXIT).filter((name) => name !== 'OK');
    expect([...used].sort()).toEqual(all.sort());
    expect(new Set(Object.values(EXIT)).size).toBe(Object.keys(EXIT).length);
    for (const code of Object.values(EXIT)) expect(code).toBeLessThan(256);
    expect(Object.keys(EXIT_MEANING)).toEqual(Object.keys(EXIT));
  });
});
