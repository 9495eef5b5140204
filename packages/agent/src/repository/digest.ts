import { createHash } from 'node:crypto';
import type { Writable } from 'node:stream';

/** What was read. */
export interface Read {
  readonly bytes: number;
  /** Digest of all of it, lower-case hex. */
  readonly sha256: string;
  /** Bytes that `sink` took before it went away; equal to `bytes` when it did not. */
  readonly taken: number;
}

/** Small enough to tell about where a sink gave up. */
const SLICE_BYTES = 64 * 1024;

/**
 * Reads all pieces, and gives them to a program's stdin as fast as it takes them, and ends that. A sink that goes away
 * early does not end the reading: the digest then tells whether the bytes were to blame.
 */
export async function readInto(pieces: AsyncIterable<Uint8Array>, sink: Writable, onPiece: (bytes: number) => void): Promise<Read> {
  const hash = createHash('sha256');
  let bytes = 0;
  let taken = 0;
  // Whoever runs the program learns from its exit why it went away.
  sink.on('error', () => undefined);
  for await (const piece of pieces) {
    hash.update(piece);
    bytes += piece.length;
    for (let at = 0; at < piece.length && sink.writable; at += SLICE_BYTES) {
      const slice = piece.subarray(at, at + SLICE_BYTES);
      taken += slice.length;
      await written(sink, slice);
    }
    onPiece(piece.length);
  }
  sink.end();
  return { bytes, sha256: hash.digest('hex'), taken };
}

/** Also when it could not be written: a sink that is gone says so by `writable`. */
const written = (sink: Writable, slice: Uint8Array): Promise<void> => new Promise((resolve) => sink.write(slice, () => resolve()));
