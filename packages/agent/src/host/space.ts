import { lstat, opendir, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errnoOf } from '@stillpoint/shared/errors';

/**
 * Bytes that this process may still write on the file system of `path`. A path that does not exist yet counts as
 * being on the file system of its nearest existing parent. Throws the system's error.
 */
export async function freeBytes(path: string): Promise<number> {
  try {
    const { bavail, bsize } = await statfs(path);
    return bavail * bsize;
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT' || dirname(path) === path) throw error;
    return freeBytes(dirname(path));
  }
}

/**
 * Sum of the sizes of all regular files below a directory, bytes; links are not followed. 0 for a path that does not
 * exist, or the size of the file if it is one. Files may come and go meanwhile. Throws the signal's reason.
 */
export async function directoryBytes(path: string, signal?: AbortSignal): Promise<number> {
  signal?.throwIfAborted();
  const entry = await gone(lstat(path));
  if (entry === undefined) return 0;
  if (!entry.isDirectory()) return entry.isFile() ? entry.size : 0;
  const directory = await gone(opendir(path));
  if (directory === undefined) return 0;
  let bytes = 0;
  for await (const { name } of directory) bytes += await directoryBytes(join(path, name), signal);
  return bytes;
}

/** Undefined for what has vanished meanwhile. */
async function gone<T>(looking: Promise<T>): Promise<T | undefined> {
  try {
    return await looking;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}
