import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { errnoOf, StillpointError } from '@stillpoint/shared/errors';
import { ByteReader } from '../../../archive/byte-reader.ts';
import { Damaged } from '../../../archive/damaged.ts';
import { isFullCode } from '../../../archive/stored.ts';
import { BLOCK_BYTES } from '../../../archive/write.ts';
import { decompressing } from '../../../archive/zstd.ts';
import { openingFrom } from '../../../encryption/index.ts';
import type { TakenFile } from '../scanning/orders.ts';
import { blocksOf } from './blocks.ts';
import type { ReadableBasis } from './orders.ts';

/**
 * Writes a file whose changed blocks were taken, the others as they were stored before. Gives it as one of which all was taken. Throws
 * CAPTURE_FAILED when what was stored is damaged, DISK_FULL, the system's error, or the signal's reason.
 */
export async function compose(taken: TakenFile, basis: ReadableBasis, into: string, signal: AbortSignal): Promise<TakenFile> {
  const { entry, blocks: changed = [] } = taken;
  const wanted = new Set(changed);
  const raw = new ByteReader(decompressing(framesOf(basis)));
  const [file, from] = [await open(into, 'wx', 0o600), await open(taken.file, 'r')];
  const block = Buffer.allocUnsafe(BLOCK_BYTES);
  try {
    await raw.read(BLOCK_BYTES - basis.first);
    let at = taken.at;
    let left = basis.size;
    for (const [index, { bytes }] of blocksOf(entry.size, basis.first, BLOCK_BYTES).entries()) {
      signal.throwIfAborted();
      const known = Math.min(left, bytes);
      // In order: what is not wanted of it is read over.
      const before = await raw.read(known);
      left -= known;
      if (wanted.has(index)) {
        const { bytesRead } = await from.read(block, 0, bytes, at);
        if (bytesRead < bytes) throw new Error(`${taken.file} ends within what was taken of ${entry.path}`);
        at += bytes;
        await file.writeFile(block.subarray(0, bytes));
      } else await file.writeFile(before);
    }
    return { entry, file: into, at: 0 };
  } catch (error) {
    if (error instanceof Damaged) throw notAsWritten(entry.path, basis.shard, error);
    if (!isFullCode(errnoOf(error))) throw error;
    throw new StillpointError('DISK_FULL', `No space is left on the file system of ${into}`, { cause: error });
  } finally {
    await raw.close();
    await Promise.all([file.close(), from.close()]);
  }
}

/** The frames in which a file was stored, as they were before they were encrypted. */
async function* framesOf({ frame, frameBytes, key, shard }: ReadableBasis): AsyncGenerator<Uint8Array> {
  if (key === undefined) yield* createReadStream(shard, { start: frame, end: frame + frameBytes - 1 }) as AsyncIterable<Buffer>;
  else yield* openingFrom(shard, key, frame, frameBytes);
}

const notAsWritten = (path: string, shard: string, cause: Damaged): StillpointError =>
  new StillpointError('CAPTURE_FAILED', `What ${shard} holds of ${path} is not what was written to it: ${cause.message}`, {
    hint: 'Look for messages of the kernel about the disk of the repository, and start the backup again.',
    cause,
  });
