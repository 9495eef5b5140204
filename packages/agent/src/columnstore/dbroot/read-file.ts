import { createHash, hash } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import { ThreadFailure } from '../../thread/failure.ts';
import { takeTurn } from '../../throttle/thread.ts';
import { entryOf, type ScannedEntry, stampOf } from './entry.ts';
import { movedText, reading } from './failure-text.ts';

/** A file in memory. */
export interface ReadFile {
  /** As it was when it was read. */
  readonly entry: ScannedEntry;
  readonly content: Buffer;
  /** Of the content. */
  readonly sha256: string;
}

/** Never through a link, which may lead anywhere, and never waiting for the other end of a pipe: either may take the place of a file. */
export const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** On a thread: reads a file that is small and does not change into a buffer of its size. Gives its digest. Throws CAPTURE_MOVED, CAPTURE_FAILED. */
export function readInto(path: string, into: Buffer): string {
  const bytes = withFile(path, (file) => fill(file, into, 0));
  if (bytes < into.length) throw new ThreadFailure(movedText(path, 'became shorter'));
  return hash('sha256', into);
}

/** Tries, and the pause between two, milliseconds. Such a file is written in one go, of a few bytes, now and then. */
const TRIES = 100;
const PAUSE_MS = 10;

/**
 * On a thread: reads a file that may be written meanwhile, until it has come to rest: twice the same, by stamp and content. `wait` is what passes
 * the time in between. Throws as `readInto` does.
 */
export function readAtRest(path: string, entry: ScannedEntry, wait: (ms: number) => void = pause): ReadFile {
  let before = readWhole(path, entry);
  for (let tries = 1; tries < TRIES; tries += 1) {
    // Longer than a tick of the clock that stamps files: two writes within one would look like none.
    wait(PAUSE_MS);
    const again = readWhole(path, entry);
    if (stampOf(before.entry) === stampOf(again.entry) && before.sha256 === again.sha256) return again;
    before = again;
  }
  throw new ThreadFailure(movedText(path, 'did not come to rest'));
}

const NEVER = new Int32Array(new SharedArrayBuffer(4));
const pause = (ms: number): void => void Atomics.wait(NEVER, 0, 0, ms);

const readWhole = (path: string, entry: ScannedEntry): ReadFile =>
  withFile(path, (file) => {
    const content = readFileSync(file);
    const now = entryOf('file', entry.path, fstatSync(file, { bigint: true }));
    return { entry: { ...now, size: content.length }, content, sha256: hash('sha256', content) };
  });

/** On a thread: a large file, read piece by piece. To be closed. */
export class FileReader {
  readonly #path: string;
  readonly #file: number;
  readonly #isSame: (now: ScannedEntry) => boolean;
  readonly #hash = createHash('sha256');
  #position = 0;

  /** Opens it. `isSame` tells whether it is still the file that was meant. Throws CAPTURE_MOVED when it is not, CAPTURE_FAILED. */
  constructor(path: string, isSame: (now: ScannedEntry) => boolean) {
    this.#path = path;
    this.#isSame = isSame;
    this.#file = reading(path, () => openSync(path, FLAGS));
    try {
      this.#requireSame();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Fills a buffer with the next bytes. Throws CAPTURE_MOVED, CAPTURE_FAILED. */
  read(into: Buffer): void {
    const bytes = reading(this.#path, () => fill(this.#file, into, this.#position));
    if (bytes < into.length) throw new ThreadFailure(movedText(this.#path, 'became shorter'));
    this.#position += bytes;
    this.#hash.update(into);
  }

  /** The digest of what was read, once it is sure that the file is still the same. Throws as `read` does. */
  end(): string {
    this.#requireSame();
    return this.#hash.digest('hex');
  }

  close(): void {
    closeSync(this.#file);
  }

  #requireSame(): void {
    const now = reading(this.#path, () => entryOf('file', '', fstatSync(this.#file, { bigint: true })));
    if (!this.#isSame(now)) throw new ThreadFailure(movedText(this.#path, 'changed'));
  }
}

function withFile<T>(path: string, work: (file: number) => T): T {
  return reading(path, () => {
    const file = openSync(path, FLAGS);
    try {
      return work(file);
    } finally {
      closeSync(file);
    }
  });
}

/** On a thread: reads until a buffer is full or the file ends, within the limit of the node. Gives the bytes. Throws the system's error. */
export function fill(file: number, buffer: Buffer, position: number): number {
  takeTurn(buffer.length);
  let bytes = 0;
  while (bytes < buffer.length) {
    const count = readSync(file, buffer, bytes, buffer.length - bytes, position + bytes);
    if (count === 0) break;
    bytes += count;
  }
  return bytes;
}
