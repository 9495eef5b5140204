import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { errnoOf } from '@stillpoint/shared/errors';
import { FLAGS } from '../read-file.ts';

const PIECE_BYTES = 1024 * 1024;

/** sha256 of a file in hex; undefined when it is gone. `onBytes` gets the bytes as they are read. Throws the system's error, or the signal's reason. */
export async function digestOf(path: string, onBytes: (bytes: number) => void, signal: AbortSignal): Promise<string | undefined> {
  const file = await open(path, FLAGS).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (file === undefined) return undefined;
  try {
    return await digest(file, onBytes, signal);
  } finally {
    await file.close();
  }
}

async function digest(file: FileHandle, onBytes: (bytes: number) => void, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  const buffer = Buffer.allocUnsafe(PIECE_BYTES);
  for (;;) {
    signal.throwIfAborted();
    const { bytesRead } = await file.read(buffer, 0, PIECE_BYTES);
    if (bytesRead === 0) return hash.digest('hex');
    hash.update(buffer.subarray(0, bytesRead));
    onBytes(bytesRead);
  }
}
