import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { LAYOUT, partDirectory, setDirectory } from '@stillpoint/shared/manifest';
import { exists, namesIn, syncDirectory } from '../host/index.ts';
import { operationOf } from '../repository/started.ts';
import { type Place, precopiedDirectory } from './place.ts';
import { filesOf, recordsIn, removeRecords } from './record.ts';

/** As parts have it. */
const DIRECTORY_MODE = 0o750;

/**
 * Sets aside what the part of a dead backup holds of dbroots in whole shards, for the next backup of this node; everything else of the part is removed. One
 * rename does it: a crash leaves the part, or what was set aside. Of a set that is committed the records are removed; nothing to do for a part without such shards. In the place of
 * what was set aside before. Gives whether something was. Throws the system's error.
 */
export async function keepPrecopied(place: Place, setId: string): Promise<boolean> {
  const { repository, cluster, node } = place;
  const part = partDirectory(repository, cluster, setId, node);
  if (await exists(join(setDirectory(repository, cluster, setId), LAYOUT.setManifest))) {
    await removeRecords(part);
    return false;
  }
  if ((await recordsIn(part)).length === 0) return false;
  const kept = precopiedDirectory(place);
  await rm(kept, { recursive: true, force: true });
  await rename(part, kept);
  for (const directory of [dirname(part), dirname(kept)]) await syncDirectory(directory);
  await removeUnnamed(kept);
  return true;
}

/**
 * Makes what was set aside the directory of a new part, with its records. Nothing to do when there is none, or the part is there. Until a record is removed from
 * it, a crash sets it aside again. Throws the system's error.
 */
export async function takePrecopied(place: Place, setId: string): Promise<void> {
  const part = partDirectory(place.repository, place.cluster, setId, place.node);
  const kept = precopiedDirectory(place);
  if (!(await exists(kept)) || (await exists(part))) return;
  await mkdir(dirname(part), { recursive: true, mode: DIRECTORY_MODE });
  await rename(kept, part);
  await removeUnnamed(part);
}

/** Removes what was set aside; of that operation only, if one is named. Gives whether something was. Throws the system's error. */
export async function dropPrecopied(place: Place, operationId?: string): Promise<boolean> {
  const kept = precopiedDirectory(place);
  if (!(await exists(kept)) || (operationId !== undefined && (await operationOf(kept)) !== operationId)) return false;
  await rm(kept, { recursive: true, force: true });
  return true;
}

/** Removes what no record names: shards that were being written, images of the server, files of the still point. */
async function removeUnnamed(directory: string): Promise<void> {
  const named = new Set([LAYOUT.started, ...(await recordsIn(directory)).flatMap(filesOf)]);
  for (const file of await namesIn(directory)) if (!named.has(file)) await rm(join(directory, file), { recursive: true, force: true });
}
