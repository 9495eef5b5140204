import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { errnoOf, StillpointError } from '@stillpoint/shared/errors';
import { ByteReader } from '../../../archive/byte-reader.ts';
import { isFullCode } from '../../../archive/stored.ts';
import { BLOCK_BYTES } from '../../../archive/write.ts';
import { decompressing } from '../../../archive/zstd.ts';
import type { TakenFile } from '../scanning/orders.ts';
import { blocksOf } from './blocks.ts';
import type { BasisPlace } from './orders.ts';

/**
 * Writes a file whose changed blocks were taken, the others as they were stored before. Gives it as one of which all was taken. Throws DISK_FULL,
 * the system's error, or the signal's reason.
 */
export async function compose(taken: TakenFile, basis: BasisPlace, into: string, signal: AbortSignal): Promise<TakenFile> {
  const { entry, blocks: changed = [] } = taken;
  const wanted = new Set(changed);
  const stored = createReadStream(basis.shard, { start: basis.frame, end: basis.frame + basis.frameBytes - 1 });
  const raw = new ByteReader(decompressing(stored));
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
    if (!isFullCode(errnoOf(error))) throw error;
    throw new StillpointError('DISK_FULL', `No space is left on the file system of ${into}`, { cause: error });
  } finally {
    await raw.close();
    stored.destroy();
    await Promise.all([file.close(), from.close()]);
  }
}
