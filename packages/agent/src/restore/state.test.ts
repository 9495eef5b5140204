import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { isOnlyStaged, loadState, newState, saveState, unfinishedRestore } from './state.ts';

const stateDir = mkdtempSync(join(tmpdir(), 'stillpoint-restore-state-'));
afterAll(() => rmSync(stateDir, { recursive: true }));

/** As the first version wrote it, which knew no data but that of the server. */
const FIRST = {
  ...{
    format: 'stillpoint-restore/1',
    operationId: 'restore-1',
    setId: 'set-1',
    partSha256: 'x',
    phase: 'switched',
    gtidPosition: '0-1-5',
  },
  places: { layout: 'beside', datadir: '/d/data', stage: '/d/stage', kept: '/d/kept', undone: '/d/undone' },
  owner: { uid: 7, gid: 8 },
  mode: 0o750,
  staged: { bytes: 3, tablesEqual: 1, tablesUnproven: [] },
  configuration: [{ path: '/etc/my.cnf', copy: '/state/0', mode: 0o644, owner: { uid: 0, gid: 0 } }],
  steps: [[{ from: '/d/data', to: '/d/kept' }]],
  ...{ done: 1, complete: true, logs: [], keptIn: ['/d/kept'], undoneIn: [], obstaclesIn: [], replaced: [] },
};

test('a journal of the first version is gone on with', async () => {
  mkdirSync(join(stateDir, 'restore'));
  writeFileSync(join(stateDir, 'restore', 'restore-1.json'), JSON.stringify(FIRST));
  expect(await loadState(stateDir, 'restore-1')).toMatchObject({
    ...{ format: 'stillpoint-restore/2', phase: 'switched', columnstore: false, dbroots: [], steps: FIRST.steps, done: 1 },
    trees: [{ name: 'datadir', live: '/d/data', stage: '/d/stage', kept: '/d/kept', owner: { uid: 7, gid: 8 }, mode: 0o750 }],
    configuration: [{ path: '/etc/my.cnf', how: 'replace' }],
  });
  expect(await unfinishedRestore(stateDir)).toBe('restore-1');
  expect(await isOnlyStaged(stateDir, 'restore-1')).toBe(false);
  writeFileSync(join(stateDir, 'restore', 'restore-1.json'), JSON.stringify({ ...FIRST, phase: 'finished' }));
  expect(await unfinishedRestore(stateDir)).toBeUndefined();
});

test('what is written is read; a journal of an unknown version is refused, and counts as unfinished', async () => {
  const known = {
    operationId: 'restore-2',
    setId: 's',
    partSha256: '',
    dbroots: [],
    columnstore: true,
    trees: [],
    made: [],
    gtidPosition: '',
  };
  await saveState(stateDir, newState(known));
  expect(await loadState(stateDir, 'restore-2')).toEqual(newState(known));
  expect(await isOnlyStaged(stateDir, 'restore-2')).toBe(true);
  writeFileSync(join(stateDir, 'restore', 'restore-2.json'), JSON.stringify({ ...newState(known), format: 'stillpoint-restore/3' }));
  await expect(loadState(stateDir, 'restore-2')).rejects.toMatchObject({
    code: 'CATALOG_UNUSABLE',
    message: expect.stringContaining('format'),
  });
  expect(await unfinishedRestore(stateDir)).toBe('restore-2');
  expect(await isOnlyStaged(stateDir, 'restore-2')).toBe(false);
});

test('a directory of journals that cannot be read is not one without unfinished restores', async () => {
  const elsewhere = mkdtempSync(join(tmpdir(), 'stillpoint-restore-state-'));
  expect(await unfinishedRestore(elsewhere)).toBeUndefined();
  writeFileSync(join(elsewhere, 'restore'), '');
  await expect(unfinishedRestore(elsewhere)).rejects.toMatchObject({
    code: 'CATALOG_UNUSABLE',
    message: expect.stringContaining('ENOTDIR'),
  });
  rmSync(elsewhere, { recursive: true });
});
