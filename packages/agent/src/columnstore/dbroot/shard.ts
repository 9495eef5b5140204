import { join } from 'node:path';
import type { ListedEntry } from '@stillpoint/shared/manifest';
import type { ArchiveWriter, FilePlace, TarEntry } from '../../archive/index.ts';
import type { ScannedEntry } from './entry.ts';
import type { Owners } from './owners.ts';
import { type ReadFile, readAtRest, readPieces, readSmall } from './read-file.ts';
import type { Unit } from './units.ts';

/** Files of a frame that are read at the same time. */
const READ_TOGETHER = 32;

/** What the shards of one dbroot have in common. */
export interface ShardSource {
  /** The dbroot, with no link on the way to it. */
  readonly root: string;
  /** Files that may be written meanwhile; see rules.ts. */
  readonly restless: ReadonlySet<string>;
  readonly owners: Owners;
  readonly signal: AbortSignal;
  /** Bytes of files that were read, as they come. */
  readonly onBytes: (bytes: number) => void;
}

/**
 * Puts the files of a unit into a shard. Gives their lines of the list, in the order in which they lie in it.
 * Throws CAPTURE_MOVED, CAPTURE_FAILED, DISK_FULL, the system's error or the signal's reason.
 */
export async function storeUnit(source: ShardSource, unit: Unit, shard: number, writer: ArchiveWriter): Promise<ListedEntry[]> {
  if (unit.kind === 'alone') return [await storeAlone(source, unit.file, shard, writer)];
  const files = await readAll(source, unit.files);
  const entries = await Promise.all(files.map(async ({ entry, content }) => ({ entry: await headerOf(source, entry), content })));
  const places = await writer.addTogether(entries);
  return Promise.all(files.map((file, index) => lineOf(source, file, shard, places[index])));
}

async function storeAlone(source: ShardSource, entry: ScannedEntry, shard: number, writer: ArchiveWriter): Promise<ListedEntry> {
  let sha256 = '';
  const pieces = async function* (): AsyncGenerator<Buffer> {
    for await (const piece of readPieces(join(source.root, entry.path), entry, source.signal, (digest) => {
      sha256 = digest;
    })) {
      source.onBytes(piece.length);
      yield piece;
    }
  };
  const place = await writer.addAlone(await headerOf(source, entry), pieces());
  return lineOf(source, { entry, sha256 }, shard, place);
}

async function readAll({ root, restless, signal, onBytes }: ShardSource, files: readonly ScannedEntry[]): Promise<ReadFile[]> {
  const read: ReadFile[] = [];
  for (let at = 0; at < files.length; at += READ_TOGETHER) {
    signal.throwIfAborted();
    const some = files.slice(at, at + READ_TOGETHER).map((entry) => {
      const path = join(root, entry.path);
      return restless.has(entry.path) ? readAtRest(path, entry, signal) : readSmall(path, entry);
    });
    read.push(...(await Promise.all(some)));
  }
  onBytes(read.reduce((sum, { content }) => sum + content.length, 0));
  return read;
}

/** An entry as the archive has it. */
export async function headerOf({ owners }: Pick<ShardSource, 'owners'>, entry: ScannedEntry): Promise<TarEntry> {
  const { type, path, mode, uid, gid, size, mtimeNs, target } = entry;
  const { user, group } = await owners(uid, gid);
  const named = (name: string): string => (/^\d+$/.test(name) ? '' : name);
  return { type, path, mode, uid, gid, user: named(user), group: named(group), mtimeNs: BigInt(mtimeNs), size, target };
}

/** What all lines of the list have in common. */
async function commonOf({ owners }: Pick<ShardSource, 'owners'>, { path, mode, uid, gid, mtimeNs }: ScannedEntry) {
  const { user, group } = await owners(uid, gid);
  return { path, mode: mode.toString(8).padStart(4, '0'), owner: `${user}:${group}`, mtimeNs };
}

/** A line of the list for a directory or a link. */
export async function plainLineOf(source: Pick<ShardSource, 'owners'>, entry: ScannedEntry): Promise<ListedEntry> {
  const common = await commonOf(source, entry);
  return entry.type === 'link' ? { type: 'link', ...common, target: entry.target } : { type: 'directory', ...common };
}

async function lineOf(
  source: ShardSource,
  { entry, sha256 }: Pick<ReadFile, 'entry' | 'sha256'>,
  shard: number,
  place: FilePlace | undefined,
): Promise<ListedEntry> {
  if (place === undefined) throw new Error('a file of a frame has no place in it');
  return { type: 'file', ...(await commonOf(source, entry)), size: entry.size, sha256, shard, ...place };
}
