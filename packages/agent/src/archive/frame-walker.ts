import { Damaged } from './damaged.ts';

/** Little endian, at the beginning of every frame. */
const MAGIC = 0xfd2fb528;
/** Magic number and descriptor of a frame; header of a block. */
const FRAME_HEAD_BYTES = 5;
const BLOCK_HEAD_BYTES = 3;
const CHECKSUM_BYTES = 4;
const DICTIONARY_BYTES = [0, 1, 2, 4];
const SIZE_BYTES = [0, 2, 4, 8];
/** Types of blocks: one byte repeated, and the one that does not exist. */
const REPEATED = 1;
const RESERVED = 3;

/**
 * Finds where zstd frames end in a row of bytes, by their headers and those of their blocks alone (RFC 8878, 3.1.1). Node's decompressor ends at the first
 * frame without a word when another one follows it in the same piece, so pieces must be cut there.
 */
export class FrameWalker {
  /** Bytes of a head, as far as they have come. */
  readonly #head: number[] = [];
  #headBytes = FRAME_HEAD_BYTES;
  /** Bytes to pass over before the next head. */
  #left = 0;
  #hasChecksum = false;
  #isLastBlock = false;

  /** True at the beginning, and behind each frame. */
  get isBetweenFrames(): boolean {
    return this.#left === 0 && this.#headBytes === FRAME_HEAD_BYTES && this.#head.length === 0;
  }

  /** Follows the bytes from `at` on. Gives the end of the frame if it lies in them, else their length. Throws Damaged for what is no frame. */
  next(data: Uint8Array, at: number): number {
    for (let place = at; ; ) {
      const passed = Math.min(this.#left, data.length - place);
      this.#left -= passed;
      place += passed;
      if (this.#left === 0 && this.#isLastBlock) {
        this.#isLastBlock = false;
        this.#headBytes = FRAME_HEAD_BYTES;
        return place;
      }
      const byte = data[place];
      if (byte === undefined) return place;
      place += 1;
      this.#head.push(byte);
      if (this.#head.length < this.#headBytes) continue;
      if (this.#headBytes === FRAME_HEAD_BYTES) this.#beginFrame();
      else this.#beginBlock();
      this.#head.length = 0;
    }
  }

  #beginFrame(): void {
    const head = Buffer.from(this.#head);
    if (head.readUInt32LE() !== MAGIC) throw new Damaged('it cannot be decompressed: something other than a frame of zstd follows');
    const descriptor = head.readUInt8(FRAME_HEAD_BYTES - 1);
    const isSingle = (descriptor & 0x20) !== 0;
    const sizeFlag = descriptor >> 6;
    this.#hasChecksum = (descriptor & 0x04) !== 0;
    const sizeBytes = sizeFlag === 0 && isSingle ? 1 : (SIZE_BYTES[sizeFlag] ?? 0);
    this.#left = (isSingle ? 0 : 1) + (DICTIONARY_BYTES[descriptor & 3] ?? 0) + sizeBytes;
    this.#headBytes = BLOCK_HEAD_BYTES;
  }

  #beginBlock(): void {
    const head = Buffer.from(this.#head).readUIntLE(0, BLOCK_HEAD_BYTES);
    const type = (head >> 1) & 3;
    if (type === RESERVED) throw new Damaged('it cannot be decompressed: it has a block of a type that does not exist');
    this.#isLastBlock = (head & 1) === 1;
    this.#left = type === REPEATED ? 1 : head >> 3;
    if (this.#isLastBlock && this.#hasChecksum) this.#left += CHECKSUM_BYTES;
  }
}

/** Cuts pieces where frames end. Throws Damaged, or what `pieces` throws. */
export async function* cutAtFrames(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const walker = new FrameWalker();
  for await (const piece of pieces) {
    for (let at = 0; at < piece.length; ) {
      const end = walker.next(piece, at);
      yield piece.subarray(at, end);
      at = end;
    }
  }
}
