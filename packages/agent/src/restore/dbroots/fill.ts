import { chmod, chown, lchown, mkdir, open, symlink, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { StillpointError } from '@stillpoint/shared/errors';
import type { ListedEntry, ListedFile, PartManifest, Shard } from '@stillpoint/shared/manifest';
import { readArchive, readList } from '../../archive/index.ts';
import { ownAccount } from '../../host/index.ts';
import { together } from '../../task/together.ts';
import type { TaskContext } from '../../task/types.ts';
import type { Tree } from '../state.ts';
import type { PlannedDbroot } from './fit.ts';

/** An image of a dbroot, and where it goes. */
export interface FilledDbroot {
  readonly image: NonNullable<PlannedDbroot['image']>;
  /** Its stage is there and empty. */
  readonly tree: Tree;
}

/**
 * Writes the image of a dbroot into its stage: every byte compared with what was written, modes and times as they were, owned by the
 * owner of the engine's data on this system. All of its shards at the same time. `onPiece` gets the bytes as they are read.
 * Throws PART_CORRUPT, MANIFEST_INVALID, the system's error, or the signal's reason; what was written is the caller's to remove.
 */
export async function fillDbroot({ image, tree }: FilledDbroot, task: TaskContext, onPiece: (bytes: number) => void): Promise<void> {
  const { source, dbroot } = image;
  const list = (signal: AbortSignal): AsyncIterable<ListedEntry> => {
    const shard = shardOf(source.part, dbroot.list);
    return readList({ shard, where: source.where, pieces: source.read(shard, signal), keyring: source.keyring });
  };
  const links = await makeDirectories(list(task.signal), tree);
  await together(
    task.signal,
    dbroot.shards.map((name, index) => async (signal: AbortSignal) => {
      const shard = shardOf(source.part, name);
      const pieces = counted(source.read(shard, signal), onPiece);
      const { keyring, where } = source;
      for await (const { entry, content } of readArchive({ dbroot, index, shard, where, pieces, keyring, list: () => list(signal) })) {
        await writeFile(entry, content, tree);
      }
    }),
  );
  await makeLinks(links, tree, task);
  await completeDirectories(list(task.signal), tree);
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

const modeOf = ({ mode }: ListedEntry): number => Number.parseInt(mode, 8);
/** Seconds, as the system takes them; exact to less than a microsecond. */
const secondsOf = ({ mtimeNs }: ListedEntry): number => Number(BigInt(mtimeNs)) / 1e9;

type ListedLink = Extract<ListedEntry, { type: 'link' }>;

/** Makes the directories, still writable for the agent. Gives the links: they are made last, so that nothing is written through one. */
async function makeDirectories(entries: AsyncIterable<ListedEntry>, { stage, owner }: Tree): Promise<ListedLink[]> {
  const links: ListedLink[] = [];
  for await (const entry of entries) {
    if (entry.type === 'link') links.push(entry);
    if (entry.type !== 'directory') continue;
    const path = join(stage, entry.path);
    await mkdir(path);
    // Not the mode of mkdir: that one is cut by the umask.
    await chmod(path, modeOf(entry) | 0o700);
    if (ownAccount().uid === 0) await chown(path, owner.uid, owner.gid);
  }
  return links;
}

async function writeFile(entry: ListedFile, content: AsyncIterable<Uint8Array>, { stage, owner }: Tree): Promise<void> {
  // Nothing may be there: what is written goes where its name says, and nowhere else.
  const file = await open(join(stage, entry.path), 'wx', 0o600);
  try {
    for await (const bytes of content) await file.writeFile(bytes);
    if (ownAccount().uid === 0) await file.chown(owner.uid, owner.gid);
    await file.chmod(modeOf(entry));
    const seconds = secondsOf(entry);
    await file.utimes(seconds, seconds);
  } finally {
    await file.close();
  }
}

async function makeLinks(links: readonly ListedLink[], { stage, owner }: Tree, { log }: TaskContext): Promise<void> {
  for (const { path, target } of links) {
    await symlink(target, join(stage, path));
    if (ownAccount().uid === 0) await lchown(join(stage, path), owner.uid, owner.gid);
    log(`${path} is a link to ${target}: the link is restored; what it leads to is not in the set`);
  }
}

/** Their modes and times, once everything is in them. */
async function completeDirectories(entries: AsyncIterable<ListedEntry>, { stage }: Tree): Promise<void> {
  for await (const entry of entries) {
    if (entry.type !== 'directory') continue;
    const path = join(stage, entry.path);
    const seconds = secondsOf(entry);
    await utimes(path, seconds, seconds);
    await chmod(path, modeOf(entry));
  }
}
