import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ownAccount } from '../../host/index.ts';
import { replayedOf } from './load.ts';
import { makeScratch } from './load-fetch.ts';

const said = (stdout: string, exitCode = 0, stderr = '') => ({ stdout, stderr, exitCode });
const LOADED = 'OK.\nSuccessfully loaded BRM snapshot\nSuccessfully replayed 13 BRM transactions\n';

test('a load that says all of its words has replayed what it says', () => {
  expect(replayedOf('/d/BRM_saves', said(LOADED))).toBe(13);
});

test.each([
  ['nothing', said('')],
  ['a snapshot that cannot be read', said('Loading BRM snapshot failed (/d/BRM_saves)\n', 1)],
  ['a journal that is missing', said('OK.\nSuccessfully loaded BRM snapshot\nCould not load BRM journal file\n', 1)],
  ['half of it, and an exit code of 0', said('OK.\nSuccessfully loaded BRM snapshot\n')],
  ['all of it, and another exit code', said(LOADED, 1)],
  ['only what it would say of another thing', said('Successfully replayed 13 BRM transactions\n')],
])('anything else is a failure with its words: %s', (_, words) => {
  expect(() => replayedOf('/d/BRM_saves', words)).toThrow(
    expect.objectContaining({
      code: 'BRM_FAILED',
      message: expect.stringContaining(`load_brm /d/BRM_saves exited with ${words.exitCode}`),
    }),
  );
});

test('copies go into a directory of the engine, and not where a link leads that somebody made first', async () => {
  const home = mkdtempSync(join(tmpdir(), 'stillpoint-scratch-'));
  try {
    const good = join(home, 'tmp', 'rdwrscratch');
    await makeScratch(good, ownAccount());
    await makeScratch(good, ownAccount());
    expect(statSync(good).mode & 0o777).toBe(0o777);
    for (const link of [join(home, 'linked'), join(home, 'above', 'rdwrscratch')]) {
      mkdirSync(join(home, 'above'), { recursive: true });
      symlinkSync(good, link);
      await expect(makeScratch(link, ownAccount())).rejects.toMatchObject({
        code: 'BRM_FAILED',
        message: expect.stringContaining('is no directory'),
      });
    }
  } finally {
    rmSync(home, { recursive: true });
  }
});
