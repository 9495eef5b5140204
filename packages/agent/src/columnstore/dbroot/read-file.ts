import { createHash, hash } from 'node:crypto';
import { close as closeFile, constants, open as openFile, read as readFile } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { PIECE_BYTES } from '../../archive/index.ts';
import { type ScannedEntry, stampOf } from './entry.ts';
import { moved, readFailure } from './failure.ts';
import { entryOf } from './scan.ts';

/** A file in memory. */
export interface ReadFile {
  /** As it was when it was read. */
  readonly entry: ScannedEntry;
  readonly content: Buffer;
  /** Of the content. */
  readonly sha256: string;
}

/** Never through a link, which may lead anywhere, and never waiting for the other end of a pipe: either may take the place of a file. */
const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Reads a file that is small and does not change. Throws CAPTURE_MOVED, CAPTURE_FAILED. */
export async function readSmall(path: string, entry: ScannedEntry): Promise<ReadFile> {
  const content = Buffer.allocUnsafe(entry.size);
  const bytes = await readInto(path, content).catch((error: unknown) => {
    throw readFailure(path, error);
  });
  if (bytes < entry.size) throw moved(path, 'became shorter');
  return { entry, content, sha256: hash('sha256', content) };
}

/** Fills a buffer from the beginning of a file, and gives the bytes. By callbacks: for many small files promises take longer than the disk. */
const readInto = (path: string, buffer: Buffer): Promise<number> =>
  new Promise((resolve, reject) => {
    openFile(path, FLAGS, (failed, file) => {
      if (failed) return reject(failed);
      const end = (error: Error | null, bytes: number): void =>
        closeFile(file, (last) => {
          if (error ?? last) reject(error ?? last);
          else resolve(bytes);
        });
      const more = (bytes: number): void =>
        readFile(file, buffer, bytes, buffer.length - bytes, bytes, (error, count) =>
          error !== null || count === 0 || bytes + count === buffer.length ? end(error, bytes + count) : more(bytes + count),
        );
      more(0);
    });
  });

/** Tries, and the pause between two, milliseconds. Such a file is written in one go, of a few bytes, now and then. */
const TRIES = 100;
const PAUSE_MS = 10;

/** Reads a file that may be written meanwhile, until it has come to rest: twice the same, by stamp and content. Throws as `readSmall` does. */
export async function readAtRest(path: string, entry: ScannedEntry, signal: AbortSignal): Promise<ReadFile> {
  let before = await readWhole(path, entry);
  for (let tries = 1; tries < TRIES; tries += 1) {
    // Longer than a tick of the clock that stamps files: two writes within one would look like none.
    await delay(PAUSE_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
    const again = await readWhole(path, entry);
    if (stampOf(before.entry) === stampOf(again.entry) && before.sha256 === again.sha256) return again;
    before = again;
  }
  throw moved(path, 'did not come to rest');
}

const readWhole = (path: string, entry: ScannedEntry): Promise<ReadFile> =>
  reading(path, async (file) => {
    const content = await file.readFile();
    const now = entryOf('file', entry.path, await file.stat({ bigint: true }));
    return { entry: { ...now, size: content.length }, content, sha256: hash('sha256', content) };
  });

/**
 * Gives a file piece by piece, the next one being read already. A piece is done with when the next one is asked for. `onEnd` gets the
 * digest when all of it was read and nothing about it has changed. Throws CAPTURE_MOVED, CAPTURE_FAILED, or the signal's reason.
 */
export async function* readPieces(
  path: string,
  entry: ScannedEntry,
  signal: AbortSignal,
  onEnd: (sha256: string) => void,
): AsyncGenerator<Buffer> {
  const file = await open(path, FLAGS).catch((error: unknown) => {
    throw readFailure(path, error);
  });
  let ahead: Promise<number> | undefined;
  try {
    await requireSame(file, path, entry);
    const buffers = [Buffer.allocUnsafe(PIECE_BYTES), Buffer.allocUnsafe(PIECE_BYTES)];
    const digest = createHash('sha256');
    const readAt = (at: number): Promise<number> => {
      const reads = fill(file, bufferOf(buffers, at, entry.size), at);
      reads.catch(() => undefined);
      return reads;
    };
    ahead = readAt(0);
    for (let at = 0; at < entry.size; at += PIECE_BYTES) {
      signal.throwIfAborted();
      const piece = bufferOf(buffers, at, entry.size);
      const bytes = await ahead.catch((error: unknown) => {
        throw readFailure(path, error);
      });
      if (bytes < piece.length) throw moved(path, 'became shorter');
      ahead = readAt(at + PIECE_BYTES);
      digest.update(piece);
      yield piece;
    }
    await requireSame(file, path, entry);
    onEnd(digest.digest('hex'));
  } finally {
    await ahead?.catch(() => undefined);
    await file.close();
  }
}

/** The two buffers take turns; the last piece is a part of one. */
function bufferOf(buffers: readonly Buffer[], at: number, size: number): Buffer {
  const buffer = buffers[(at / PIECE_BYTES) % buffers.length] ?? Buffer.alloc(0);
  return buffer.subarray(0, Math.max(0, Math.min(PIECE_BYTES, size - at)));
}

async function requireSame(file: FileHandle, path: string, entry: ScannedEntry): Promise<void> {
  const now = entryOf('file', entry.path, await file.stat({ bigint: true }));
  if (stampOf(now) !== stampOf(entry)) throw moved(path, 'changed');
}

async function reading<T>(path: string, work: (file: FileHandle) => Promise<T>): Promise<T> {
  try {
    const file = await open(path, FLAGS);
    try {
      return await work(file);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw readFailure(path, error);
  }
}

/** Reads until a buffer is full or the file ends. Gives the bytes. */
async function fill(file: FileHandle, buffer: Buffer, position: number): Promise<number> {
  let bytes = 0;
  while (bytes < buffer.length) {
    const { bytesRead } = await file.read(buffer, bytes, buffer.length - bytes, position + bytes);
    if (bytesRead === 0) break;
    bytes += bytesRead;
  }
  return bytes;
}
