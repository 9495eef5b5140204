import { join } from 'node:path';
import { StillpointError } from '@stillpoint/shared/errors';
import { decodeSetManifest, LAYOUT } from '@stillpoint/shared/manifest';
import { exists, removeFileDurably, writeFileDurably } from '../host/index.ts';
import type { Repository } from './types.ts';

/** As the manifests beside it. */
const FILE_MODE = 0o640;

/** Protected sets of a directory; the mark is a file beside set.json. */
export const protection = (path: string, setPath: (setId: string) => string): Pick<Repository, 'protectSet' | 'unprotectSet'> => ({
  protectSet: async (setId, mark) => {
    const file = join(setPath(setId), LAYOUT.protection);
    if (!(await exists(join(setPath(setId), LAYOUT.setManifest)))) throw noSet(path, setId);
    if (await exists(file)) return false;
    await writeFileDurably(file, mark, FILE_MODE);
    return true;
  },
  unprotectSet: async (setId) => {
    const file = join(setPath(setId), LAYOUT.protection);
    if (!(await exists(file))) return false;
    await removeFileDurably(file);
    return true;
  },
});

/** The error of a set that is not committed in a repository. */
export const noSet = (path: string, setId: string): StillpointError =>
  new StillpointError('SET_NOT_FOUND', `${path} holds no committed set ${setId}`);

/** Throws SET_PROTECTED for a set whose directory holds the mark. */
export async function refuseProtected(set: string, setId: string): Promise<void> {
  if (!(await exists(join(set, LAYOUT.protection)))) return;
  throw new StillpointError('SET_PROTECTED', `Set ${setId} is marked as protected in ${set}`);
}

/**
 * Throws SET_NEEDED when one of the `others` needs bytes of a set. One whose set.json cannot be read cannot be restored either, so it
 * needs none.
 */
export async function refuseNeeded(
  setId: string,
  others: readonly string[],
  manifestOf: (setId: string) => Promise<Uint8Array | undefined>,
): Promise<void> {
  const users: string[] = [];
  for (const other of others) {
    const manifest = other === setId ? undefined : await manifestOf(other);
    if (manifest !== undefined && usesOf(manifest).includes(setId)) users.push(other);
  }
  if (users.length > 0) throw new StillpointError('SET_NEEDED', `Set ${setId} holds bytes that ${users.join(', ')} need`);
}

function usesOf(manifest: Uint8Array): readonly string[] {
  try {
    return decodeSetManifest(manifest, LAYOUT.setManifest).uses;
  } catch {
    return [];
  }
}
