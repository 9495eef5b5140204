import { type ErrorCode, StillpointError } from '@stillpoint/shared/errors';
import {
  archivesOf,
  type BorrowedShard,
  type ListedEntry,
  type PartDbroot,
  type PartManifest,
  placeOf,
  type Shard,
} from '@stillpoint/shared/manifest';
import { readArchive, readList } from '../archive/index.ts';
import type { Keyring } from '../encryption/index.ts';
import { together } from '../task/together.ts';
import type { Repository } from './types.ts';

/** The part whose dbroot is read. */
export interface DbrootPart {
  readonly repository: Repository;
  readonly part: Pick<PartManifest, 'setId' | 'node' | 'shards'>;
  readonly onPiece: (bytes: number) => void;
  /** Looks at a file without knowing what is in it. */
  readonly plainly: (shard: Shard | BorrowedShard) => Promise<string[]>;
  /** What opens encrypted files. */
  readonly keyring: Keyring | undefined;
  readonly signal: AbortSignal;
}

/**
 * Reads a dbroot of a part back: its list, then its archives at the same time, each against the list. Gives what is wrong, a sentence each:
 * the first thing in each file. Throws the signal's reason.
 */
export async function dbrootProblems(from: DbrootPart, dbroot: PartDbroot): Promise<string[]> {
  const list = shardOf(from, dbroot.list);
  const problem = (await sizeProblem(from, list)) ?? (await problemIn(() => checkTotals(from, dbroot, list)));
  // Without a list, nothing can be said of the archives but whether their bytes are those that were written.
  if (problem !== undefined)
    return [problem, ...(await Promise.all(archivesOf(from.part, dbroot).map((shard) => from.plainly(shard)))).flat()];
  const works = archivesOf(from.part, dbroot).map((shard, index) => async (signal: AbortSignal): Promise<string | undefined> => {
    const within = { ...from, signal };
    return (await sizeProblem(within, shard)) ?? problemIn(() => compare(within, dbroot, index, shard));
  });
  return (await together(from.signal, works)).filter((each) => each !== undefined);
}

/** Looks at the files of a dbroot without knowing what is in them. */
export const storedProblems = async (from: DbrootPart, dbroot: PartDbroot): Promise<string[]> =>
  (await Promise.all([shardOf(from, dbroot.list), ...archivesOf(from.part, dbroot)].map((shard) => from.plainly(shard)))).flat();

/** A manifest names no file that it does not have: its schema sees to that. */
function shardOf({ part }: DbrootPart, name: string): Shard {
  const shard = part.shards.find((each) => each.name === name);
  if (shard === undefined) throw new Error(`the manifest of a part names ${name} and does not have it`);
  return shard;
}

/** How a file is named in a sentence about a part: one of another set with that. */
export const shardText = (shard: Shard | BorrowedShard): string =>
  'set' in shard ? `${shard.name} of set ${shard.set}, which this one uses,` : shard.name;

/** What its size says already. */
async function sizeProblem({ repository, part }: DbrootPart, shard: Shard | BorrowedShard): Promise<string | undefined> {
  const { setId, node } = placeOf(shard, part);
  const { storedBytes } = shard;
  const bytes = await repository.shardBytes(setId, node, shard.name);
  const name = shardText(shard);
  if (bytes === undefined) return `${name} is missing`;
  if (bytes < storedBytes) return `${name} is truncated: it ends at byte ${bytes} of ${storedBytes}`;
  return bytes > storedBytes ? `${name} is too long: ${bytes} bytes instead of ${storedBytes}` : undefined;
}

/** KEY_MISSING: the manifest names a recipient of ours, the file does not, so one of the two is wrong. */
const FOUND: readonly ErrorCode[] = ['PART_CORRUPT', 'MANIFEST_INVALID', 'KEY_MISSING'];

async function problemIn(read: () => Promise<void>): Promise<string | undefined> {
  try {
    await read();
    return undefined;
  } catch (error) {
    if (error instanceof StillpointError && FOUND.includes(error.code)) return error.message;
    throw error;
  }
}

const whereOf = ({ part }: DbrootPart, shard: Shard | BorrowedShard): string => `set ${placeOf(shard, part).setId}`;

async function* piecesOf({ repository, part, onPiece, signal }: DbrootPart, shard: Shard | BorrowedShard): AsyncGenerator<Uint8Array> {
  const { setId, node } = placeOf(shard, part);
  for await (const piece of repository.readShard(setId, node, shard.name, signal)) {
    onPiece(piece.length);
    yield piece;
  }
}

const listOf = (from: DbrootPart, shard: Shard): AsyncIterable<ListedEntry> =>
  readList({ shard, where: whereOf(from, shard), pieces: piecesOf(from, shard), keyring: from.keyring });

/** Throws PART_CORRUPT when the list is damaged, or lists something else than part.json says. */
async function checkTotals(from: DbrootPart, dbroot: PartDbroot, shard: Shard): Promise<void> {
  const counted = { files: 0, directories: 0, dataBytes: 0 };
  const archives = archivesOf(from.part, dbroot).length;
  for await (const entry of listOf(from, shard)) {
    if (entry.type === 'directory') counted.directories += 1;
    if (entry.type !== 'file') continue;
    counted.files += 1;
    counted.dataBytes += entry.size;
    if (entry.shard >= archives)
      throw new StillpointError('PART_CORRUPT', `${shard.name} has ${entry.path} in shard ${entry.shard}, and there are ${archives}`);
  }
  for (const key of ['files', 'directories', 'dataBytes'] as const) {
    if (counted[key] !== dbroot[key])
      throw new StillpointError('PART_CORRUPT', `${shard.name} lists ${counted[key]} ${key}, part.json says ${dbroot[key]}`);
  }
}

async function compare(from: DbrootPart, dbroot: PartDbroot, index: number, shard: Shard | BorrowedShard): Promise<void> {
  const quiet = { ...from, onPiece: () => {} };
  const list = (): AsyncIterable<ListedEntry> => listOf(quiet, shardOf(from, dbroot.list));
  // Reading is comparing.
  const { keyring } = from;
  for await (const _ of readArchive({ dbroot, index, shard, where: whereOf(from, shard), pieces: piecesOf(from, shard), keyring, list }));
}
