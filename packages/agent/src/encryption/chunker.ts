/** Cuts bytes, in whatever pieces they come, into chunks of one size. The last chunk is kept until the end: it may be shorter. */
export class Chunker {
  readonly #kept: Buffer;
  #length = 0;

  constructor(chunkBytes: number) {
    this.#kept = Buffer.allocUnsafe(chunkBytes);
  }

  /** Hands over every chunk that is known not to be the last. A chunk is done with when `onChunk` returns. */
  push(data: Uint8Array, onChunk: (chunk: Uint8Array) => void): void {
    const size = this.#kept.length;
    let at = 0;
    while (at < data.length) {
      if (this.#length === size) {
        onChunk(this.#kept);
        this.#length = 0;
      }
      // Without a copy, whenever a whole chunk lies in what came and something follows it.
      if (this.#length === 0 && data.length - at > size) {
        onChunk(data.subarray(at, at + size));
        at += size;
        continue;
      }
      const count = Math.min(size - this.#length, data.length - at);
      this.#kept.set(data.subarray(at, at + count), this.#length);
      this.#length += count;
      at += count;
    }
  }

  /** What is left: empty only if nothing ever came. */
  rest(): Uint8Array {
    return this.#kept.subarray(0, this.#length);
  }
}
