import { Chunker } from './chunker.ts';
import type { FileKey } from './file-key.ts';
import { CHUNK_BYTES, sealChunk, TAG_BYTES } from './stream.ts';

/** Seals one file, piece by piece, as age does. Synchronous: it may be used on any thread. */
export class Sealer {
  readonly #key: Uint8Array;
  readonly #chunks = new Chunker(CHUNK_BYTES);
  #header: Uint8Array;
  #number = 0;
  /** Written anew by each call: memory that is fresh each time would cost more than the cipher. */
  #output: Buffer = Buffer.alloc(0);
  #length = 0;

  /** `fileKey` must not be used for anything else. */
  constructor({ header, key }: FileKey) {
    this.#header = header;
    this.#key = key;
  }

  /** Takes bytes of any number; they are done with afterwards. Gives what is finished so far, maybe nothing: good until the next call. */
  update(data: Uint8Array): Buffer {
    this.#begin(data.length);
    this.#chunks.push(data, (chunk) => this.#seal(chunk, false));
    return this.#finished();
  }

  /** Ends the file, and gives the rest of it. */
  final(): Buffer {
    this.#begin(0);
    this.#seal(this.#chunks.rest(), true);
    return this.#finished();
  }

  /** Makes room for all that can come of so many bytes and the chunk that was kept. */
  #begin(bytes: number): void {
    const most = this.#header.length + bytes + CHUNK_BYTES + TAG_BYTES * (Math.ceil(bytes / CHUNK_BYTES) + 1);
    if (this.#output.length < most) this.#output = Buffer.allocUnsafeSlow(most);
    this.#length = 0;
    this.#put(this.#header);
    this.#header = new Uint8Array();
  }

  #seal(chunk: Uint8Array, isLast: boolean): void {
    for (const piece of sealChunk(this.#key, this.#number, isLast, chunk)) this.#put(piece);
    this.#number += 1;
  }

  #put(piece: Uint8Array): void {
    this.#output.set(piece, this.#length);
    this.#length += piece.length;
  }

  #finished(): Buffer {
    return this.#output.subarray(0, this.#length);
  }
}
