import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '@stillpoint/shared/errors';
import { LAYOUT } from '@stillpoint/shared/manifest';
import { LeftoverKind } from '@stillpoint/shared/proto';
import { exists } from '../host/index.ts';
import { dropPrecopied, precopiedDirectory } from '../precopied/index.ts';
import { directoriesIn, removedName, removeEmptySet, removePart } from '../repository/removal.ts';
import { operationOf } from '../repository/started.ts';
import type { Leftover, Search } from './leftover.ts';

/** What set ids look like as they are made; directories of other names may be anybody's. */
const SET_ID = /^\d{8}-\d{6}-[0-9a-f]{8}$/;
/** What is made in a part and does not stay in it: of tools, of dbroots, clones, files that are being written. Other hidden names are somebody's own. */
const SCRATCH = /^\.(mariadb-backup|dbroot\d+|stillpoint-)|^\..+\.tmp$/;

/** What backups and deletions left in the repository of this node; other nodes that share the directory see to their own. */
export async function* repositoryLeftovers(search: Search): AsyncGenerator<Leftover> {
  const { cluster, repository } = search.config;
  yield* hiddenFiles(repository, /^\.probe-\d+$/, 'a check of the repository');
  yield* precopied(search);
  for (const setId of (await directoriesIn(join(repository, cluster))).filter((name) => SET_ID.test(name)).sort()) {
    search.signal.throwIfAborted();
    yield* leftoversOfSet(search, setId, join(repository, cluster, setId));
  }
}

async function* leftoversOfSet(search: Search, setId: string, set: string): AsyncGenerator<Leftover> {
  const { node } = search.config;
  const part = join(set, node);
  yield* removedParts(set, node);
  yield* hiddenFiles(set, /^\..+\.tmp$/, `a file of set ${setId} that was being written`);
  const isCommitted = await exists(join(set, LAYOUT.setManifest));
  if (!(await exists(part))) {
    if (!isCommitted && (await exists(set))) yield* emptySet(set);
    return;
  }
  const operationId = await operationOf(part);
  if (operationId !== undefined && operationId === search.alive) return;
  if (isCommitted) yield* scratchIn(part, setId);
  else yield unfinished(search, setId, { set, part, operationId, isOurs: operationId !== undefined || (await holdsOnlyScratch(part)) });
}

/** It is of use, so it stays until somebody wants the space. */
async function* precopied({ alive, config }: Search): AsyncGenerator<Leftover> {
  const path = precopiedDirectory(config);
  if (!(await exists(path))) return;
  const operationId = await operationOf(path);
  if (operationId !== undefined && operationId === alive) return;
  yield {
    ...{ kind: LeftoverKind.PRECOPIED, path, staysBecause: '' },
    reason: `Copied of dbroots by ${operationId ?? 'a backup'}, which was interrupted; the next backup of this node uses it`,
    remove: async () => {
      await dropPrecopied(config, operationId);
    },
  };
}

async function* removedParts(set: string, node: string): AsyncGenerator<Leftover> {
  const path = join(set, removedName(node));
  if (!(await exists(path))) return;
  yield {
    ...{ kind: LeftoverKind.DELETED_SET, path, staysBecause: '' },
    reason: 'The deletion of this part was interrupted',
    remove: async () => {
      await rm(path, { recursive: true, force: true });
      await removeEmptySet(set);
    },
  };
}

/** A directory of which only files are left that mean nothing without a part. */
async function* emptySet(set: string): AsyncGenerator<Leftover> {
  const known: readonly string[] = [LAYOUT.howToRestore, LAYOUT.started, LAYOUT.protection];
  const names = await namesIn(set);
  if (!names.every((name) => known.includes(name))) return;
  yield {
    ...{ kind: LeftoverKind.DELETED_SET, path: set, staysBecause: '' },
    reason: 'No part is left in the directory of this set, and it is not committed',
    remove: async () => {
      await removeEmptySet(set);
    },
  };
}

interface Unfinished {
  readonly set: string;
  readonly part: string;
  readonly operationId: string | undefined;
  /** A backup has made it, for all that can be seen. */
  readonly isOurs: boolean;
}

function whyItStays(setId: string, committed: ReadonlySet<string>, isOurs: boolean): string {
  if (committed.has(setId))
    return `Other nodes hold set ${setId} as committed: its ${LAYOUT.setManifest} is missing here, and can be copied from them`;
  return isOurs ? '' : 'Nothing in it tells that a backup has made it: look into it, and remove it by hand';
}

/** An operation that ended before it could say who it is has made no more than the directory. */
const holdsOnlyScratch = async (part: string): Promise<boolean> => (await namesIn(part)).every((name) => SCRATCH.test(name));

function unfinished({ committed }: Search, setId: string, { set, part, operationId, isOurs }: Unfinished): Leftover {
  const whose = operationId === undefined ? 'an operation that left no word of itself' : `${operationId}, which is over`;
  return {
    kind: LeftoverKind.PART,
    path: part,
    reason: `A part of set ${setId}, not committed, of ${whose}`,
    staysBecause: whyItStays(setId, committed, isOurs),
    remove: async () => {
      // It may have been committed since it was looked at.
      if (!(await exists(join(set, LAYOUT.setManifest)))) await removePart(set, part);
    },
  };
}

async function* scratchIn(part: string, setId: string): AsyncGenerator<Leftover> {
  for (const name of (await namesIn(part)).filter((each) => SCRATCH.test(each))) {
    yield scratch(join(part, name), `Needed only while the part of set ${setId} was made`);
  }
}

async function* hiddenFiles(directory: string, pattern: RegExp, what: string): AsyncGenerator<Leftover> {
  for (const name of (await namesIn(directory)).filter((each) => pattern.test(each)))
    yield scratch(join(directory, name), `Left by ${what}`);
}

const scratch = (path: string, reason: string): Leftover => ({
  ...{ kind: LeftoverKind.SCRATCH, path, reason, staysBecause: '' },
  remove: () => rm(path, { recursive: true, force: true }),
});

/** None where it is missing. Anything but a directory in its place is a stranger's, and no empty one: that is an error here, other than for `namesIn` of the host. */
const namesIn = (directory: string): Promise<string[]> =>
  readdir(directory).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  });
