import { StillpointError } from '@stillpoint/shared/errors';
import { decodeEntries, encodeEntry, type ListedEntry, type Shard } from '@stillpoint/shared/manifest';
import { Damaged } from './damaged.ts';
import { storedBytes } from './stored-bytes.ts';
import { type StoredFile, StoredFileWriter } from './stored-file.ts';
import { decompressing, FrameCompressor } from './zstd.ts';

/** Lines that are given to zstd at once. */
const TOGETHER = 128;

/** Writes the list of a dbroot into a new file. Throws what `entries` throws, DISK_FULL, or the system's error. */
export async function writeList(path: string, entries: AsyncIterable<ListedEntry>, level: number): Promise<StoredFile> {
  const stored = await StoredFileWriter.create(path);
  const frame = new FrameCompressor(level);
  try {
    for await (const lines of linesOf(entries)) await stored.write(await frame.add(lines));
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
}

/**
 * Reads the list of a dbroot, a line at a time. What it says is proven once it has been read to its end.
 * Throws PART_CORRUPT, MANIFEST_INVALID, or what `pieces` throws.
 */
export async function* readList({ shard, where, pieces }: StoredShard): AsyncGenerator<ListedEntry> {
  const name = `${shard.name} of ${where}`;
  try {
    yield* decodeEntries(decompressing(storedBytes(shard, pieces)), name);
  } catch (error) {
    throw error instanceof Damaged ? new StillpointError('PART_CORRUPT', `${name} is damaged: ${error.message}`, { cause: error }) : error;
  }
}
