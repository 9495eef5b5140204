import { stat } from 'node:fs/promises';
import type { ErrorCode } from '@stillpoint/shared/errors';
import { runProgram } from '../process/index.ts';
import { programFailure } from './extract.ts';

/**
 * Brings everything that was written on the file system of a path to its disk, as one call: of what the tools extract and the
 * server writes, most is never synced by them. Throws an error of that code, or DISK_FULL, when the disk did not take it.
 */
export async function syncFileSystem(path: string, code: ErrorCode, signal?: AbortSignal): Promise<void> {
  try {
    await runProgram('sync', ['-f', path], { signal });
  } catch (error) {
    signal?.throwIfAborted();
    throw programFailure(code, `The file system of ${path} could not be synced`, [error]);
  }
}

/** The same for every file system on which one of these directories lies. `sync` is for tests. */
export async function syncTrees(
  directories: readonly string[],
  code: ErrorCode,
  signal?: AbortSignal,
  sync = syncFileSystem,
): Promise<void> {
  const devices = new Set<number>();
  for (const directory of directories) {
    const { dev } = await stat(directory);
    if (!devices.has(dev)) await sync(directory, code, signal);
    devices.add(dev);
  }
}
