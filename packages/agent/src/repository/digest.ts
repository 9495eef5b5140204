import { createHash } from 'node:crypto';
import type { Writable } from 'node:stream';
import { Damaged } from '../archive/damaged.ts';
import type { Opener } from '../encryption/index.ts';

/** What was read. */
export interface Read {
  readonly bytes: number;
  /** Digest of all of it, lower-case hex. */
  readonly sha256: string;
  /** Bytes of the content that `sink` took before it went away; all of it when it did not. */
  readonly taken: number;
  /** What is wrong with an encrypted file, where its opener gave up; undefined when it did not. */
  readonly unopened: string | undefined;
}

/** Small enough to tell about where a sink gave up. */
const SLICE_BYTES = 64 * 1024;

/**
 * Reads all pieces, and gives them to a program's stdin as fast as it takes them, and ends that. A sink that goes away
 * early does not end the reading, nor does an opener that gives up: the digest, which is of the pieces as they are stored, then tells
 * whether the bytes were to blame. Throws what `pieces` throws, and KEY_MISSING.
 */
export async function readInto(
  pieces: AsyncIterable<Uint8Array>,
  sink: Writable,
  onPiece: (bytes: number) => void,
  opener?: Opener,
): Promise<Read> {
  const hash = createHash('sha256');
  const content = new Content(sink, opener);
  let bytes = 0;
  for await (const piece of pieces) {
    hash.update(piece);
    bytes += piece.length;
    await content.take(piece);
    onPiece(piece.length);
  }
  await content.end();
  return { bytes, sha256: hash.digest('hex'), taken: content.taken, unopened: content.unopened };
}

/** What the pieces hold, on its way to a program. */
class Content {
  taken = 0;
  unopened: string | undefined;
  readonly #sink: Writable;
  readonly #opener: Opener | undefined;

  constructor(sink: Writable, opener: Opener | undefined) {
    this.#sink = sink;
    this.#opener = opener;
    // Whoever runs the program learns from its exit why it went away.
    sink.on('error', () => undefined);
  }

  async take(piece: Uint8Array): Promise<void> {
    const opener = this.#opener;
    const content = opener === undefined ? [piece] : await this.#opened(() => opener.update(piece));
    for (const each of content) await this.#give(each);
  }

  async end(): Promise<void> {
    const opener = this.#opener;
    if (opener !== undefined) for (const each of await this.#opened(async () => [opener.final()])) await this.#give(each);
    this.#sink.end();
  }

  async #opened(open: () => Promise<readonly Uint8Array[]>): Promise<readonly Uint8Array[]> {
    if (this.unopened !== undefined) return [];
    try {
      return await open();
    } catch (error) {
      if (!(error instanceof Damaged)) throw error;
      this.unopened = error.message;
      return [];
    }
  }

  async #give(content: Uint8Array): Promise<void> {
    for (let at = 0; at < content.length && this.#sink.writable; at += SLICE_BYTES) {
      const slice = content.subarray(at, at + SLICE_BYTES);
      this.taken += slice.length;
      await written(this.#sink, slice);
    }
  }
}

/** Also when it could not be written: a sink that is gone says so by `writable`. */
const written = (sink: Writable, slice: Uint8Array): Promise<void> => new Promise((resolve) => sink.write(slice, () => resolve()));
