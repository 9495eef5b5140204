import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { currentBrm, parseCurrent } from './current.ts';

describe('the marker of the current set', () => {
  test.each([
    ['BRM_saves\n', 'BRM_saves'],
    ['BRM_savesA\n', 'BRM_savesA'],
    ['BRM_savesB', 'BRM_savesB'],
    ['/usr/local/mariadb/columnstore/data1/systemFiles/dbrm/BRM_savesA\n', 'BRM_savesA'],
    ['', undefined],
    ['\n', undefined],
    ['BRM_savesC\n', undefined],
    ['BRM_saves_em\n', undefined],
    ['..\n', undefined],
    ['BRM_savesA\nBRM_savesB\n', undefined],
  ])('%j is %s', (text, set) => expect(parseCurrent(text, 'BRM_saves')).toBe(set));
});

describe('the current block resolution manager', () => {
  let directory: string;
  let root: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'stillpoint-brm-'));
    root = join(directory, 'BRM_saves');
  });
  afterEach(() => rmSync(directory, { recursive: true }));
  const write = (...names: string[]): void => {
    for (const name of names) writeFileSync(`${root}${name}`, name === '_current' ? 'BRM_savesB\n' : '');
  };

  test('is a set with the one journal', async () => {
    write('_current', 'B_em', 'B_vbbm', 'B_vss', '_journal');
    expect(await currentBrm(root)).toEqual({
      set: 'BRM_savesB',
      prefix: `${root}B`,
      files: { em: `${root}B_em`, vbbm: `${root}B_vbbm`, vss: `${root}B_vss`, journal: `${root}_journal` },
    });
  });

  test.each(['B_em', 'B_vbbm', 'B_vss', '_journal'])('is incomplete without %s', async (missing) => {
    write(...['_current', 'B_em', 'B_vbbm', 'B_vss', '_journal', '_em', '_vbbm', '_vss', 'B_journal'].filter((name) => name !== missing));
    await expect(currentBrm(root)).rejects.toMatchObject({ code: 'BRM_FAILED', message: expect.stringContaining(`${root}${missing}`) });
  });

  test('is not known without a marker, or from one that names nothing', async () => {
    await expect(currentBrm(root)).rejects.toMatchObject({ code: 'BRM_FAILED', message: expect.stringContaining('_current') });
    writeFileSync(`${root}_current`, 'nonsense');
    await expect(currentBrm(root)).rejects.toMatchObject({ code: 'BRM_FAILED', message: expect.stringContaining('"nonsense"') });
  });
});
