import { expect, test } from 'vitest';
import { replayedOf } from './load.ts';

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
