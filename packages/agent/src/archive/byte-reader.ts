import { Damaged } from './damaged.ts';

/** Reads pieces of any size as a row of bytes. */
export class ByteReader {
  /** Bytes that were read so far. */
  position = 0;
  readonly #pieces: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array();

  constructor(pieces: AsyncIterable<Uint8Array>) {
    this.#pieces = pieces[Symbol.asyncIterator]();
  }

  /** Exactly so many bytes. Throws Damaged when there are fewer. */
  async read(bytes: number): Promise<Buffer> {
    if (bytes > 0 && this.#rest.length >= bytes) return this.#cut(bytes);
    // Not the pieces themselves: one may be gone when the next one is asked for.
    const all = Buffer.allocUnsafe(bytes);
    let length = 0;
    for await (const part of this.take(bytes)) length += part.copy(all, length);
    return all;
  }

  /** Exactly so many bytes, in the pieces in which they come. Throws Damaged when there are fewer. */
  async *take(bytes: number): AsyncGenerator<Buffer> {
    for (let left = bytes; left > 0; ) {
      if (!(await this.#fill())) throw new Damaged(`it ends ${left} bytes too early`);
      const piece = this.#cut(Math.min(left, this.#rest.length));
      left -= piece.length;
      yield piece;
    }
  }

  /** All that still comes. */
  async *rest(): AsyncGenerator<Buffer> {
    while (await this.#fill()) yield this.#cut(this.#rest.length);
  }

  /** True when nothing comes any more. */
  async isAtEnd(): Promise<boolean> {
    return !(await this.#fill());
  }

  /** Reads no more, also of what the pieces come from. */
  async close(): Promise<void> {
    await this.#pieces.return?.();
  }

  /** False at the end. */
  async #fill(): Promise<boolean> {
    while (this.#rest.length === 0) {
      const next = await this.#pieces.next();
      if (next.done) return false;
      this.#rest = next.value;
    }
    return true;
  }

  #cut(bytes: number): Buffer {
    const piece = this.#rest.subarray(0, bytes);
    this.#rest = this.#rest.subarray(bytes);
    this.position += bytes;
    return Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
  }
}
