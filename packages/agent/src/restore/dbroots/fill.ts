import { chmod, chown, lchown, mkdir, symlink, utimes } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { StillpointError } from '@stillpoint/shared/errors';
import { archivesOf, isSealed, type ListedEntry, type PartManifest, type Shard } from '@stillpoint/shared/manifest';
import { openedPieces, readListInPortions, type StoredShard } from '../../archive/index.ts';
import { ownAccount } from '../../host/index.ts';
import { together } from '../../task/together.ts';
import type { TaskContext } from '../../task/types.ts';
import type { Tree } from '../state.ts';
import { unpackShard } from './filling/unpack-shard.ts';
import type { PlannedDbroot } from './fit.ts';
import { modeOf, secondsOf } from './listed.ts';

/** An image of a dbroot, and where it goes. */
export interface FilledDbroot {
  readonly image: NonNullable<PlannedDbroot['image']>;
  /** Its stage is there and empty. */
  readonly tree: Tree;
}

/**
 * Writes the image of a dbroot into its stage: every byte compared with what was written, modes and times as they were, owned by the
 * owner of the engine's data on this system. All of its shards at the same time,
 * also those of other sets. `onPiece` gets the bytes as they are read.
 * Throws PART_CORRUPT, MANIFEST_INVALID, the system's error, or the signal's reason; what was written is the caller's to remove.
 */
export async function fillDbroot({ image, tree }: FilledDbroot, task: TaskContext, onPiece: (bytes: number) => void): Promise<void> {
  const { source, dbroot } = image;
  const { keyring, where } = source;
  const listed = shardOf(source.part, dbroot.list);
  const list = (signal: AbortSignal): StoredShard => ({ shard: listed, where, keyring, pieces: source.read(listed, signal) });
  const links = await makeDirectories(readListInPortions(list(task.signal)), tree);
  const archives = archivesOf(source.part, dbroot).entries();
  const unpackNext = async (signal: AbortSignal): Promise<void> => {
    for (const [index, shard] of archives) await unpack({ image, tree }, index, shard, list, onPiece, signal);
  };
  await together(task.signal, Array(availableParallelism()).fill(unpackNext));
  await makeLinks(links, tree, task);
  await completeDirectories(readListInPortions(list(task.signal)), tree);
}

/** One archive, on a thread of its own. What is encrypted is opened here: identities go nowhere else. */
async function unpack(
  { image: { source, dbroot }, tree: { stage, owner } }: FilledDbroot,
  index: number,
  shard: Shard,
  list: (signal: AbortSignal) => StoredShard,
  onPiece: (bytes: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const { where, keyring } = source;
  const { number, shards, superseded } = dbroot;
  const isOpened = isSealed(shard);
  const pieces = (within: AbortSignal): AsyncIterable<Uint8Array> => {
    const stored = counted(source.read(shard, within), onPiece);
    return isOpened ? openedPieces({ shard, where, keyring, pieces: stored }) : stored;
  };
  await unpackShard(
    {
      ...{ dbroot: { number, shards, ...(superseded === undefined ? {} : { superseded }) }, index, shard, where, isOpened, stage },
      listName: dbroot.list,
      owner: ownAccount().uid === 0 ? { uid: owner.uid, gid: owner.gid } : undefined,
    },
    { pieces, list: (within) => openedPieces(list(within)) },
    signal,
  );
}

function shardOf({ shards, node }: PartManifest, name: string): Shard {
  const shard = shards.find((each) => each.name === name);
  if (shard === undefined) throw new StillpointError('MANIFEST_INVALID', `The part of ${node} names no file ${name}`);
  return shard;
}

async function* counted(pieces: AsyncIterable<Uint8Array>, onPiece: (bytes: number) => void): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces) {
    onPiece(piece.byteLength);
    yield piece;
  }
}

async function* withoutFiles(list: AsyncIterable<readonly ListedEntry[]>): AsyncGenerator<Exclude<ListedEntry, { type: 'file' }>> {
  for await (const entries of list) for (const entry of entries) if (entry.type !== 'file') yield entry;
}

type ListedLink = Extract<ListedEntry, { type: 'link' }>;

/** Makes the directories, still writable for the agent. Gives the links: they are made last, so that nothing is written through one. */
async function makeDirectories(list: AsyncIterable<readonly ListedEntry[]>, { stage, owner }: Tree): Promise<ListedLink[]> {
  const links: ListedLink[] = [];
  const isRoot = ownAccount().uid === 0;
  for await (const entry of withoutFiles(list)) {
    if (entry.type === 'link') {
      links.push(entry);
      continue;
    }
    const path = join(stage, entry.path);
    await mkdir(path);
    // Not the mode of mkdir: that one is cut by the umask.
    await chmod(path, modeOf(entry) | 0o700);
    if (isRoot) await chown(path, owner.uid, owner.gid);
  }
  return links;
}

async function makeLinks(links: readonly ListedLink[], { stage, owner }: Tree, { log }: TaskContext): Promise<void> {
  for (const { path, target } of links) {
    await symlink(target, join(stage, path));
    if (ownAccount().uid === 0) await lchown(join(stage, path), owner.uid, owner.gid);
    log(`${path} is a link to ${target}: the link is restored; what it leads to is not in the set`);
  }
}

/** Their modes and times, once everything is in them. */
async function completeDirectories(list: AsyncIterable<readonly ListedEntry[]>, { stage }: Tree): Promise<void> {
  for await (const entry of withoutFiles(list)) {
    if (entry.type !== 'directory') continue;
    const path = join(stage, entry.path);
    const seconds = secondsOf(entry);
    await utimes(path, seconds, seconds);
    await chmod(path, modeOf(entry));
  }
}
