import { createHash } from 'node:crypto';
import type { Shard } from '@stillpoint/shared/manifest';
import { Damaged } from './damaged.ts';

/** Hands the bytes of a stored file on, and compares size and digest at their end. Throws Damaged then, or what `pieces` throws. */
export async function* storedBytes({ storedBytes: size, sha256 }: Shard, pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const piece of pieces) {
    hash.update(piece);
    bytes += piece.length;
    if (bytes > size) throw new Damaged(`it has more than ${size} bytes`);
    yield piece;
  }
  if (bytes !== size) throw new Damaged(`it has ${bytes} bytes instead of ${size}`);
  if (hash.digest('hex') !== sha256) throw new Damaged('it does not hold the bytes that were written');
}
