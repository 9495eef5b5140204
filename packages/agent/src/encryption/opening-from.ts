import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Damaged } from '../archive/damaged.ts';
import { Chunker } from './chunker.ts';
import type { FileKey } from './file-key.ts';
import { CHUNK_BYTES, openChunk, TAG_BYTES } from './stream.ts';

const SEALED_BYTES = CHUNK_BYTES + TAG_BYTES;

/**
 * A piece of the content of a sealed file by the key that it was sealed with, which only who has sealed it knows: `bytes` from `start` on, fewer if the content ends
 * before. Reads the chunks in which they lie and no others. What it has given is what was written. Throws Damaged or the system's error.
 */
export async function* openingFrom(path: string, { header, key }: FileKey, start: number, bytes: number): AsyncGenerator<Buffer> {
  const { size } = await stat(path);
  const last = Math.ceil((size - header.length) / SEALED_BYTES) - 1;
  const [first, beyond] = [Math.floor(start / CHUNK_BYTES), Math.ceil((start + bytes) / CHUNK_BYTES)];
  const placeOf = (chunk: number): number => header.length + chunk * SEALED_BYTES;
  let number = first;
  const open = (sealed: Uint8Array): Buffer => {
    const content = openChunk(key, number, number === last, sealed);
    if (content === undefined) throw new Damaged(`chunk ${number} of 64 KiB is not what was encrypted`);
    const at = number * CHUNK_BYTES;
    number += 1;
    return content.subarray(Math.max(0, start - at), start + bytes - at);
  };
  const chunks = new Chunker(SEALED_BYTES);
  for await (const piece of createReadStream(path, { start: placeOf(first), end: placeOf(beyond) - 1 })) {
    const opened: Buffer[] = [];
    chunks.push(piece as Buffer, (sealed) => opened.push(open(sealed)));
    yield* opened;
  }
  yield open(chunks.rest());
}
