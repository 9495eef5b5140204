import { constants } from 'node:fs';
import { lstat, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, StillpointError } from '@stillpoint/shared/errors';
import {
  decodePartManifest,
  decodeSetManifest,
  LAYOUT,
  partDirectory,
  type SetManifest,
  setDirectory,
  sha256Of,
} from '@stillpoint/shared/manifest';
import { NAME_PATTERN } from '@stillpoint/shared/operation';
import { exists, freeBytes, removeFileDurably, syncDirectory, writeFileDurably } from '../host/index.ts';
import { removeRecords } from '../precopied/index.ts';
import { restoreInstructions, type ServerCommands, type StoredPart } from './instructions.ts';
import { noSet, protection, refuseNeeded, refuseProtected } from './keep.ts';
import { checkedName } from './names.ts';
import { directoriesIn, removePart } from './removal.ts';
import type { Repository, StoredSet } from './types.ts';

/** Which directory, and whose parts are ours. */
export interface LocalRepositoryOptions {
  readonly path: string;
  readonly cluster: string;
  readonly node: string;
  /** For the instructions: how this node's server is found, started and stopped. */
  readonly server?: ServerCommands | undefined;
}

const PIECE_BYTES = 1024 * 1024;
/** Sets looked at at once while listing: hides the latency of a network file system. */
const LIST_AHEAD = 32;
/** Sets are public within their owner's account; what lies in the shards is as secret as the database. */
const FILE_MODE = 0o640;

/** A repository in a directory of this host (a network file system counts). Several nodes may share one. */
export function localRepository({ path, cluster, node: own, server }: LocalRepositoryOptions): Repository {
  const setPath = (setId: string): string => setDirectory(path, cluster, checkedName(setId, 'set id'));
  const partPath = (setId: string, node: string): string =>
    partDirectory(path, cluster, checkedName(setId, 'set id'), checkedName(node, 'node name'));
  const shardPath = (setId: string, node: string, shard: string): string =>
    join(partPath(setId, node), checkedName(shard, 'file name of a part', 'MANIFEST_INVALID'));

  const look = async (setId: string): Promise<StoredSet | undefined> => {
    const [manifest, hasPart, isProtected, started] = await Promise.all([
      readIfThere(join(setPath(setId), LAYOUT.setManifest)),
      exists(join(partPath(setId, own), LAYOUT.partManifest)),
      exists(join(setPath(setId), LAYOUT.protection)),
      Promise.all([setPath(setId), partPath(setId, own)].map((directory) => exists(join(directory, LAYOUT.started)))),
    ]);
    return manifest === undefined && !hasPart && !started.includes(true) ? undefined : { setId, manifest, hasPart, isProtected };
  };

  const setNames = async (): Promise<string[]> =>
    (await directoriesIn(join(path, cluster))).filter((name) => NAME_PATTERN.test(name)).sort();

  const readPart = async (setId: string, node = own): Promise<Uint8Array> => {
    const data = await readIfThere(join(partPath(setId, node), LAYOUT.partManifest));
    if (data === undefined) throw new StillpointError('PART_NOT_FOUND', `${path} holds no part of set ${setId} of node ${node}`);
    return data;
  };

  return {
    async *listSets(signal) {
      const names = await setNames();
      while (names.length > 0) {
        signal.throwIfAborted();
        // Set ids begin with their time, so names sort by age.
        const found = await Promise.all(names.splice(-LIST_AHEAD).reverse().map(look));
        for (const set of found) if (set !== undefined) yield set;
      }
    },

    readSet: async (setId) => {
      const data = await readIfThere(join(setPath(setId), LAYOUT.setManifest));
      if (data === undefined) throw noSet(path, setId);
      return data;
    },

    readPart,

    shardBytes: async (setId, node, shard) => {
      const entry = await lstat(shardPath(setId, node, shard)).catch(ifMissing);
      return entry?.isFile() ? entry.size : undefined;
    },

    readShard: (setId, node, shard, signal) => readPieces(shardPath(setId, node, shard), signal),

    commitSet: async (setId, manifest) => {
      const target = join(setPath(setId), LAYOUT.setManifest);
      const set = decodeSetManifest(manifest, `set.json of ${setId}`);
      const member = set.members.find(({ node }) => node === own);
      if (set.setId !== setId || set.cluster !== cluster || member === undefined) {
        throw new StillpointError(
          'MANIFEST_INVALID',
          `set.json of ${set.cluster}/${set.setId} is not one of ${cluster}/${setId} with node ${own}`,
        );
      }
      if (sha256Of(await readPart(setId)) !== member.partSha256) {
        throw new StillpointError('PART_CORRUPT', `${partPath(setId, own)}/${LAYOUT.partManifest} is not the one that set.json names`);
      }
      const instructions = restoreInstructions(set, await partsOf(set, (node) => partPath(setId, node), own, server));
      await writeFileDurably(join(setPath(setId), LAYOUT.howToRestore), instructions, FILE_MODE);
      await writeFileDurably(target, manifest, FILE_MODE);
      await syncDirectory(join(path, cluster));
      // Until now it was all that a crash would have left of hours of work. What cannot be removed does no harm.
      await removeRecords(partPath(setId, own)).catch(() => undefined);
    },

    ...protection(path, setPath),

    deletePart: async (setId) => {
      if (!(await exists(setPath(setId)))) return 0;
      await refuseProtected(setPath(setId), setId);
      await refuseNeeded(setId, await setNames(), (other) => readIfThere(join(setPath(other), LAYOUT.setManifest)));
      await removeFileDurably(join(setPath(setId), LAYOUT.setManifest));
      return removePart(setPath(setId), partPath(setId, own));
    },

    removeUnfinishedPart: async (setId) => {
      if (await exists(join(setPath(setId), LAYOUT.setManifest))) return false;
      const had = await exists(partPath(setId, own));
      if (await exists(setPath(setId))) await removePart(setPath(setId), partPath(setId, own));
      return had;
    },

    freeBytes: () => freeBytes(path),
  };
}

/** Parts of a set that lie here and are the ones that it names. */
async function partsOf(
  { members }: SetManifest,
  partPath: (node: string) => string,
  own: string,
  server: ServerCommands | undefined,
): Promise<StoredPart[]> {
  const parts: StoredPart[] = [];
  for (const { node, partSha256 } of members) {
    const data = await readIfThere(join(partPath(node), LAYOUT.partManifest));
    if (data === undefined || sha256Of(data) !== partSha256) continue;
    const part = decodePartManifest(data, `${LAYOUT.partManifest} of ${node}`);
    parts.push({ directory: partPath(node), part, server: node === own ? server : undefined });
  }
  return parts;
}

async function* readPieces(path: string, signal: AbortSignal): AsyncIterable<Uint8Array> {
  // A link could lead out of the repository.
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW).catch((cause: unknown) => {
    throw unreadable(path, cause);
  });
  try {
    for (;;) {
      signal.throwIfAborted();
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(PIECE_BYTES), 0, PIECE_BYTES).catch((cause: unknown) => {
        throw unreadable(path, cause);
      });
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

function unreadable(path: string, cause: unknown): StillpointError {
  const why = errnoOf(cause) === 'ENOENT' ? 'is missing' : `cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`;
  return new StillpointError('PART_CORRUPT', `${path} ${why}`, { cause });
}

const ifMissing = (error: unknown): undefined => {
  if (errnoOf(error) !== 'ENOENT' && errnoOf(error) !== 'ENOTDIR') throw error;
};

const readIfThere = (path: string): Promise<Uint8Array | undefined> => readFile(path).catch(ifMissing);
