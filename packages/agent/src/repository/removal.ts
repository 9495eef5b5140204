import { readdir, rename, rm, rmdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { errnoOf } from '@stillpoint/shared/errors';
import { LAYOUT } from '@stillpoint/shared/manifest';
import { directoryBytes, exists, syncDirectory } from '../host/index.ts';

/** Name of a node's part once it is being removed: nobody takes it for a part any more, however much of it is left. */
export const removedName = (node: string): string => `.removed.${node}`;

/** Files of a set that go with its last part. */
const OF_SET = [LAYOUT.howToRestore, LAYOUT.started, LAYOUT.protection];

/**
 * Removes a part, what an earlier removal left of it, and the set's directory with the last one. Gives the bytes freed. The part is
 * renamed first, so that a crash leaves nothing that looks like one. Throws the system's error.
 */
export async function removePart(set: string, part: string): Promise<number> {
  const removed = join(set, removedName(basename(part)));
  let bytes = await removeTree(removed);
  if (await exists(part)) {
    await rename(part, removed);
    await syncDirectory(set);
    bytes += await removeTree(removed);
  }
  await removeEmptySet(set);
  return bytes;
}

/** Removes a set's directory when no part is left in it, whoever's. True when it is gone. Throws the system's error. */
export async function removeEmptySet(set: string): Promise<boolean> {
  if ((await directoriesIn(set)).length > 0) return false;
  for (const name of OF_SET) await rm(join(set, name), { force: true });
  // Something of somebody else's may lie there: then the directory stays.
  const gone = await rmdir(set).then(
    () => true,
    () => false,
  );
  await syncDirectory(join(set, '..'));
  return gone;
}

async function removeTree(path: string): Promise<number> {
  const bytes = await directoryBytes(path);
  await rm(path, { recursive: true, force: true });
  return bytes;
}

/** Names of the directories in a directory; none where it is missing. Throws the system's error. */
export async function directoriesIn(path: string): Promise<string[]> {
  try {
    return (await readdir(path, { withFileTypes: true })).filter((entry) => entry.isDirectory()).map(({ name }) => name);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return [];
    throw error;
  }
}
