import type { Readable } from 'node:stream';
import { type StoredFile, StoredFileWriter } from '../archive/index.ts';

/**
 * Writes a stream into a new file and hashes it on the way. It is not yet safe from a power cut: that takes long and
 * must not be waited for while writers are.
 * Throws DISK_FULL, the stream's error, or the system's.
 */
export async function storeStream(stream: Readable, path: string): Promise<StoredFile> {
  const stored = await StoredFileWriter.create(path);
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) await stored.write(chunk);
    return await stored.end();
  } finally {
    await stored.close();
  }
}
