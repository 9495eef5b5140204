import { constants, copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { isFullCode } from '../../../archive/stored.ts';
import { ThreadFailure } from '../../../thread/failure.ts';
import type { ScannedEntry } from '../entry.ts';
import { movedText } from '../failure-text.ts';
import { readAtRest } from '../read-file.ts';

/** Never a copy: that would take as long as the data is large. */
const CLONE = constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL;

/** Only for the time until it is packed, and only for us. */
const DIRECTORY_MODE = 0o700;

/**
 * On a thread: puts a clone of what was found at the same place below `cloneTo`. Gives the entry that belongs to it: files that may be written
 * meanwhile are copied when they are at rest. Throws CAPTURE_MOVED, CAPTURE_FAILED, DISK_FULL.
 */
export function cloneEntry(root: string, cloneTo: string, entry: ScannedEntry, restless: ReadonlySet<string>): ScannedEntry {
  const [from, to] = [`${root}/${entry.path}`, `${cloneTo}/${entry.path}`];
  if (entry.type === 'link') return entry;
  try {
    if (entry.type === 'directory') mkdirSync(to, { mode: DIRECTORY_MODE });
    else if (restless.has(entry.path)) {
      const { entry: now, content } = readAtRest(from, entry);
      writeFileSync(to, content, { flag: 'wx', mode: 0o600 });
      return now;
    } else copyFileSync(from, to, CLONE);
    return entry;
  } catch (error) {
    throw error instanceof ThreadFailure ? error : cloneFailure(from, to, error);
  }
}

function cloneFailure(from: string, to: string, error: unknown): ThreadFailure {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return new ThreadFailure(movedText(from, 'vanished'));
  if (isFullCode(code)) return new ThreadFailure({ code: 'DISK_FULL', message: `No space is left on the file system of ${to}` });
  return new ThreadFailure({
    code: 'CAPTURE_FAILED',
    message: `${from} cannot be cloned to ${to}: ${message}`,
    hint: 'The agent must be able to read all of the dbroot. With `--capture precopy` no file is cloned.',
  });
}
