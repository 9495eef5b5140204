import { StillpointError } from '@stillpoint/shared/errors';
import { decodeEntries, encodeEntry, isSealed, type ListedEntry, type Shard } from '@stillpoint/shared/manifest';
import { type FileKey, type Keyring, opening } from '../encryption/index.ts';
import { Damaged } from './damaged.ts';
import { giveBack } from './give-back.ts';
import type { StoredFile } from './stored.ts';
import { storedBytes } from './stored-bytes.ts';
import { StoredFileWriter } from './stored-file.ts';
import { decompressing, FrameCompressor, PIECE_BYTES } from './zstd.ts';

/** Of zstd. A list is text, and is compressed even where data is not: it would be many times as large. */
const LEAST_LEVEL = 1;
/** Of a list that are made into text at once: longer text lives longer. */
const TEXT_BYTES = 128 * 1024;
/** Lines that are given to zstd at once. */
const TOGETHER = 128;

/** Writes the list of a dbroot into a new file, encrypted if there is a key for that. Throws what `entries` throws, DISK_FULL, or the system's error. */
export const writeList = (path: string, entries: AsyncIterable<ListedEntry>, level: number, key?: FileKey): Promise<StoredFile> =>
  writeLines(path, linesOf(entries), level, key);

/** The same of lines that are encoded already, in pieces of any size. Throws as `writeList` does. */
export async function writeLines(path: string, lines: AsyncIterable<Uint8Array>, level: number, key?: FileKey): Promise<StoredFile> {
  const stored = await StoredFileWriter.create(path, key);
  const frame = new FrameCompressor(level || LEAST_LEVEL);
  try {
    for await (const some of lines) {
      for (let at = 0; at < some.length; at += PIECE_BYTES) await stored.write(await frame.add(some.subarray(at, at + PIECE_BYTES)));
    }
    await stored.write(await frame.end());
    return await stored.end();
  } finally {
    frame.close();
    await stored.close();
  }
}

async function* linesOf(entries: AsyncIterable<ListedEntry>): AsyncGenerator<Buffer> {
  let lines: string[] = [];
  for await (const entry of entries) {
    lines.push(encodeEntry(entry));
    if (lines.length < TOGETHER) continue;
    yield Buffer.from(lines.join(''));
    lines = [];
  }
  yield Buffer.from(lines.join(''));
}

/** A stored file of a part that is read. */
export interface StoredShard {
  /** As part.json has it. */
  readonly shard: Shard;
  /** Where it lies, for messages. */
  readonly where: string;
  /** Its bytes as stored, in order. */
  readonly pieces: AsyncIterable<Uint8Array>;
  /** What opens it, if it is encrypted. */
  readonly keyring?: Keyring | undefined;
}

/** What a stored file holds, with size and digest of what is stored compared on the way. Throws KEY_MISSING, Damaged, or what `pieces` throws. */
export function contentOf({ shard, where, pieces, keyring }: StoredShard): AsyncGenerator<Uint8Array> {
  const stored = storedBytes(shard, pieces);
  return isSealed(shard) ? opening(stored, keyring, `${shard.name} of ${where}`) : stored;
}

/** The same for who knows no Damaged. Throws PART_CORRUPT, KEY_MISSING, or what `pieces` throws. */
export async function* openedPieces(stored: StoredShard): AsyncGenerator<Uint8Array> {
  try {
    yield* contentOf(stored);
  } catch (error) {
    throw damagedAs(`${stored.shard.name} of ${stored.where}`, error);
  }
}

const damagedAs = (name: string, error: unknown): unknown =>
  error instanceof Damaged ? new StillpointError('PART_CORRUPT', `${name} is damaged: ${error.message}`, { cause: error }) : error;

/**
 * Reads the list of a dbroot, a line at a time. What it says is proven once it has been read to its end.
 * Throws PART_CORRUPT, MANIFEST_INVALID, KEY_MISSING, or what `pieces` throws.
 */
export async function* readList(stored: StoredShard): AsyncGenerator<ListedEntry> {
  for await (const entries of readListInPortions(stored)) yield* entries;
}

/** The same in portions: for who reads a million of lines and is done with each at once. Throws as `readList` does. */
export async function* readListInPortions(stored: StoredShard): AsyncGenerator<ListedEntry[]> {
  const name = `${stored.shard.name} of ${stored.where}`;
  try {
    for await (const entries of decodeEntries(usedUp(decompressing(contentOf(stored), TEXT_BYTES)), name)) yield entries;
  } catch (error) {
    throw damagedAs(name, error);
  }
}

/** Memory of what was read is given back at once, not when the collector comes to it: a piece that ends where its memory ends is the last in it. */
async function* usedUp(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  for await (const piece of pieces) {
    yield piece;
    if (piece.byteOffset + piece.byteLength === piece.buffer.byteLength) giveBack(piece, piece.buffer.byteLength);
  }
}
