import { randomBytes } from 'node:crypto';
import { type FileHandle, lstat, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { errnoOf } from '@stillpoint/shared/errors';

/** Makes renames, new names and removals in a directory outlive a power cut. Throws the system's error. */
export async function syncDirectory(path: string): Promise<void> {
  await usingFile(path, 'r', undefined, (directory) => directory.sync());
}

/**
 * Writes a file so that after any crash either the old or the whole new content is there: a temporary file beside
 * it, fsync, rename, fsync of the directory. `mode` defaults to 0600. Throws the system's error and leaves no
 * temporary file then.
 */
export async function writeFileDurably(path: string, data: Uint8Array | string, mode = 0o600): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(4).toString('hex')}.tmp`);
  try {
    await usingFile(temporary, 'wx', mode, async (file) => {
      await file.writeFile(data);
      // Not the mode of open: that one is cut by the umask.
      await file.chmod(mode);
      await file.sync();
    });
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncDirectory(dirname(path));
}

/** Removes a file so that it stays removed; a missing one is fine. Throws the system's error. */
export async function removeFileDurably(path: string): Promise<void> {
  await rm(path, { force: true });
  await syncDirectory(dirname(path));
}

/** What lies directly in a directory; nothing where there is none. Throws the system's error for anything else. */
export const namesIn = (directory: string): Promise<string[]> =>
  readdir(directory).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return [];
    throw error;
  });

/** True when something (also a dangling link) has that name. Throws the system's error for anything but "no such file". */
export async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return false;
    throw error;
  }
}

async function usingFile(path: string, flags: string, mode: number | undefined, use: (file: FileHandle) => Promise<void>): Promise<void> {
  const file = await open(path, flags, mode);
  try {
    await use(file);
  } finally {
    await file.close();
  }
}
