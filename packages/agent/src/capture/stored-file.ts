import type { Readable } from 'node:stream';
import { rawFrame, type StoredFile, StoredFileWriter } from '../archive/index.ts';
import type { FileKey } from '../encryption/index.ts';

/** What becomes of a stream on its way into a file. */
export interface StoreStream {
  /** What it is encrypted with; undefined leaves it as it is. */
  readonly key?: FileKey | undefined;
  /** It is no zstd yet, and put into frames of it without being compressed. */
  readonly isRaw?: boolean;
  /** Is waited for before each piece is written, and gets its bytes. */
  readonly pace?: (bytes: number) => Promise<void>;
}

/**
 * Writes a stream into a new file and hashes it on the way. It is not yet safe from a power cut: that takes long and
 * must not be waited for while writers are.
 * Throws DISK_FULL, the stream's error, or the system's.
 */
export async function storeStream(stream: Readable, path: string, { key, isRaw = false, pace }: StoreStream = {}): Promise<StoredFile> {
  const stored = await StoredFileWriter.create(path, key);
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      await pace?.(chunk.length);
      await stored.write(isRaw ? Buffer.concat(rawFrame(chunk)) : chunk);
    }
    return await stored.end();
  } finally {
    await stored.close();
  }
}
