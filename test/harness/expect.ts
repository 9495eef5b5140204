import { ERROR_TABLE, type ErrorCode, EXIT } from '@stillpoint/shared/errors';
import { expect } from 'vitest';
import type { Ended, Line } from './cli.ts';
import type { TestCluster } from './cluster.ts';
import { eventually } from './eventually.ts';

/** An error line of the command line. */
export interface ErrorLine {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint: string;
  readonly node: string | null;
  readonly blockers: readonly {
    readonly user: string;
    readonly connectionId: number;
    readonly statement: string;
    readonly command: string;
  }[];
}

/** The command failed with this row of the error table, and with its exit code. */
export function expectRefusal(ended: Ended, code: ErrorCode): Line & ErrorLine {
  const error = ended.line<ErrorLine>('error');
  expect(error).toMatchObject({ code });
  expect(error.message).not.toBe('');
  expect(error.hint).not.toBe('');
  expect(ended.exitCode).toBe(EXIT[ERROR_TABLE[code].exit]);
  return error;
}

/** Ids of the sets that are listed as good; with `--rescan`, by the repositories instead of the catalog. */
export async function goodSets(cluster: TestCluster, ...args: '--rescan'[]): Promise<readonly string[]> {
  const listed = (await cluster.ok('backup', 'list', ...args)).all<{ setId: string; state: string }>('set');
  return listed.filter(({ state }) => state === 'good').map(({ setId }) => setId);
}

/** Runs a command that must succeed, as soon as the claims of a dead controller have run out. */
export async function whenFree(cluster: TestCluster, ...args: string[]): Promise<Ended> {
  const ended = await eventually(async () => {
    const attempt = await cluster.run(...args);
    return attempt.exitCode === EXIT.BUSY ? undefined : attempt;
  }, 60_000);
  expect({ exitCode: ended.exitCode, errors: ended.all('error') }).toEqual({ exitCode: 0, errors: [] });
  return ended;
}

/** Whatever went before, the next backup works: at once, or as soon as the claim of a dead controller has run out. */
export async function expectNextBackupWorks(cluster: TestCluster): Promise<string> {
  const before = await goodSets(cluster);
  const ended = await whenFree(cluster, 'backup', 'create');
  const setId = ended.line<{ setId: string }>('backup').setId;
  const after = await goodSets(cluster);
  expect(after[0]).toBe(setId);
  expect(after).toEqual(expect.arrayContaining([...before]));
  // Catalog and repositories agree.
  expect(await goodSets(cluster, '--rescan')).toEqual(after);
  return setId;
}
