import { EXIT } from '@stillpoint/shared/errors';
import { beforeEach, describe, expect, it } from 'vitest';
import { user } from '../../fixture/command-line.ts';
import { exitOf } from '../result.ts';

describe('old sets', () => {
  let { type, json } = user();
  const three = async (): Promise<void> => {
    for (let number = 0; number < 3; number += 1) await type('backup', 'create');
  };
  beforeEach(() => {
    ({ type, json } = user());
  });

  it('are shown before they go, each with its reason', async () => {
    await three();
    expect((await type('backup', 'prune', '--dry-run')).stdout).toMatchInlineSnapshot(`
      "  set                       cut                      state              stored  why
        20261121-091503-3fa94c01  2026-11-21 09:15:03 UTC  good   kept      1.06 GiB  one of the last 2
        20261121-091502-3fa94c01  2026-11-21 09:15:02 UTC  good   kept      1.06 GiB  one of the last 2
        20261121-091501-3fa94c01  2026-11-21 09:15:01 UTC  good   would go  1.06 GiB  no rule keeps it

      1 set would be removed, 2 sets kept; 1.06 GiB would be freed.
      Nothing was touched. Days, weeks and months are those of UTC.
      "
    `);
    expect((await json('backup', 'list')).lines).toHaveLength(3);
  });

  it('go, by the rules of the configuration or by those that are named', async () => {
    await three();
    expect((await type('backup', 'prune', '--yes')).stdout).toContain('1 set removed, 2 sets kept; 1.06 GiB freed.');
    const { lines } = await json('backup', 'prune', '--keep-last', '1', '--yes');
    expect(lines).toMatchObject([
      { type: 'pruned-set', outcome: 'kept' },
      { type: 'pruned-set', outcome: 'removed' },
      { type: 'prune', dryRun: false, freedBytes: 2 * 541 * 1024 ** 2, silent: [] },
    ]);
  });

  it('that a node which is away still holds are not gone', async () => {
    ({ type, json } = user({ unreachable: 'db2' }));
    await three();
    const { exitCode, stdout } = await type('backup', 'prune', '--yes');
    expect(exitCode).toBe(EXIT.UNREACHABLE);
    expect(stdout).toContain('1 set not removed everywhere yet: the next run goes on with that.');
    expect(stdout).toContain('not yet: 20261121-091501-3fa94c01: db2 could not be reached: its share is removed by a later run');
    expect(stdout).toContain('left out: db2: NODE_UNREACHABLE: db2 refuses the connection');
  });

  it('that a node could not remove are no success, though every node answered', () => {
    const set = { setId: 'a', cutAt: '', state: 'good', reasons: [], bytes: 0, problems: ['db1: FILE_REFUSED: read-only'] } as const;
    const report = { operationId: 'prune-1', dryRun: false, silent: [] };
    expect(exitOf({ type: 'prune', report: { ...report, sets: [{ ...set, outcome: 'begun' }] } })).toBe('DELETE_REFUSED');
    expect(exitOf({ type: 'prune', report: { ...report, sets: [{ ...set, outcome: 'removed' }] } })).toBe('OK');
    const cleaned = { ...report, leftovers: [], lost: [] };
    expect(exitOf({ type: 'clean', report: { ...cleaned, deletions: [{ ...set, outcome: 'begun' }] } })).toBe('DELETE_REFUSED');
  });

  it('take only rules that are numbers', async () => {
    expect(await type('backup', 'prune', '--keep-last', '0', '--dry-run')).toMatchObject({
      exitCode: EXIT.USAGE,
      stderr: expect.stringContaining('It is not a whole number from 1 to 100000.'),
    });
  });

  it('that are protected are marked in the list and in the set', async () => {
    await three();
    expect((await type('backup', 'protect', 'latest')).stdout).toBe('Set 20261121-091503-3fa94c01 is protected on db1.\n');
    expect((await type('backup', 'list')).stdout).toMatch(/20261121-091503-3fa94c01 +good +protected/);
    expect((await type('backup', 'show', 'latest')).stdout).toContain('; protected\n');
    expect((await json('backup', 'list')).lines).toMatchObject([{ protected: true }, { protected: false }, { protected: false }]);
    expect((await type('backup', 'unprotect', 'latest')).stdout).toContain('no longer protected on db1');
    expect((await type('backup', 'list')).stdout).not.toContain('protected');
  });

  it('stay protected while a node that is away has the mark', async () => {
    ({ type } = user({ unreachable: 'db2' }));
    await type('backup', 'create');
    const { exitCode, stdout } = await type('backup', 'unprotect', 'latest');
    expect(exitCode).toBe(EXIT.UNREACHABLE);
    expect(stdout).toContain('Not told: db2. It stays protected until the same command reaches them.');
  });
});

describe('what dead operations left behind', () => {
  it('is shown with its size, and what stays with the reason', async () => {
    expect((await user().type('repository', 'clean', '--dry-run')).stdout).toMatchInlineSnapshot(`
      "1.00 GiB could be freed. Nothing was touched.

        node     bytes  changed                            what
        db1   1.00 GiB  2026-11-20 01:00:09 UTC  would go  /backup/stillpoint/shop/20261120-010000-00c0ffee/db1
        db2   4.00 KiB  2026-11-01 10:01:00 UTC  stays     /var/lib/.stillpoint-kept-restore-20261101-100100-77c01f2e

        db1: /backup/stillpoint/shop/20261120-010000-00c0ffee/db1: A part of set 20261120-010000-00c0ffee, not committed, of backup-20261120-010000-00c0ffee, which is over.
        db2: /var/lib/.stillpoint-kept-restore-20261101-100100-77c01f2e: Of restore-20261101-100100-77c01f2e, of which this agent has no record. It may hold the only copy of live data: look into it, and remove it by hand.

      incomplete: set 20261119-010000-0000cafe: the part of db2 is missing; what is left of it stays.
      "
    `);
  });

  it('is removed', async () => {
    const { stdout } = await user().type('repository', 'clean');
    expect(stdout).toContain('1.00 GiB freed.');
    expect(stdout).toMatch(/db1 .* removed/);
    expect((await user().json('repository', 'clean')).lines.at(-1)).toMatchObject({ type: 'clean', freedBytes: 1024 ** 3 });
  });
});
