import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { errnoOf, StillpointError } from '@stillpoint/shared/errors';
import { FILE_MODE } from './part.ts';

/** What was written. */
export interface StoredFile {
  readonly bytes: number;
  /** Digest, lower-case hex. */
  readonly sha256: string;
}

/**
 * Writes a stream into a new file and hashes it on the way. It is not yet safe from a power cut: that takes long and
 * must not be waited for while writers are.
 * Throws DISK_FULL, the stream's error, or the system's.
 */
export async function storeStream(stream: Readable, path: string, onBytes: (total: number) => void = () => {}): Promise<StoredFile> {
  const hash = createHash('sha256');
  const file = await open(path, 'wx', FILE_MODE);
  let bytes = 0;
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      hash.update(chunk);
      await file.writeFile(chunk);
      bytes += chunk.length;
      onBytes(bytes);
    }
  } catch (error) {
    throw errnoOf(error) === 'ENOSPC' || errnoOf(error) === 'EDQUOT' ? diskFull(path, bytes, error) : error;
  } finally {
    await file.close();
  }
  return { bytes, sha256: hash.digest('hex') };
}

const diskFull = (path: string, bytes: number, cause: unknown): StillpointError =>
  new StillpointError('DISK_FULL', `No space is left on the file system of ${path} after ${bytes} bytes of it`, { cause });
