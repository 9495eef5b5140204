import { Damaged } from './damaged.ts';

/** Little endian, at the beginning of every frame. */
const MAGIC = 0xfd2fb528;
/** Magic number and descriptor of a frame, which tells what else its head holds; head of a block. */
const BEGIN_BYTES = 5;
const BLOCK_HEAD_BYTES = 3;
const CHECKSUM_BYTES = 4;
const DICTIONARY_BYTES = [0, 1, 2, 4];
const SIZE_BYTES = [0, 2, 4, 8];
/** Types of blocks: as they are, one byte repeated, and the one that does not exist. */
const RAW = 0;
const REPEATED = 1;
const RESERVED = 3;

/** What the head of a frame says. */
interface FrameHead {
  readonly headBytes: number;
  readonly sizeBytes: number;
  readonly hasChecksum: boolean;
}

function frameHead(begin: Buffer): FrameHead {
  if (begin.readUInt32LE() !== MAGIC) throw new Damaged('it cannot be decompressed: something other than a frame of zstd follows');
  const descriptor = begin.readUInt8(BEGIN_BYTES - 1);
  const isSingle = (descriptor & 0x20) !== 0;
  const sizeFlag = descriptor >> 6;
  const sizeBytes = sizeFlag === 0 && isSingle ? 1 : (SIZE_BYTES[sizeFlag] ?? 0);
  const headBytes = BEGIN_BYTES + (isSingle ? 0 : 1) + (DICTIONARY_BYTES[descriptor & 3] ?? 0) + sizeBytes;
  return { headBytes, sizeBytes, hasChecksum: (descriptor & 0x04) !== 0 };
}

function contentBytesOf(head: Buffer, { sizeBytes }: FrameHead): number | undefined {
  const at = head.length - sizeBytes;
  if (sizeBytes === 0) return undefined;
  if (sizeBytes === 8) return Number(head.readBigUInt64LE(at));
  // Two bytes count from 256 on: less than that fits into one.
  return head.readUIntLE(at, sizeBytes) + (sizeBytes === 2 ? 256 : 0);
}

/**
 * Finds where zstd frames end in a row of bytes, by their headers and those of their blocks alone (RFC 8878, 3.1.1). Node's decompressor ends at the first
 * frame without a word when another one follows it in the same piece, so pieces must be cut there.
 */
export class FrameWalker {
  /** Of the present frame, or the one that has just ended: what its head says of its content; undefined when it says nothing. */
  contentBytes: number | undefined;
  /** Of the same: whether all of its blocks hold the content as it is, without a checksum. */
  isRaw = true;
  /** Its head, in bytes. */
  headBytes = 0;
  /** Bytes of a head, as far as they have come, and how many it has. */
  readonly #head: number[] = [];
  #wanted = BEGIN_BYTES;
  #frame: FrameHead | undefined;
  /** Bytes to pass over before the next head. */
  #left = 0;
  #isLastBlock = false;

  /** True at the beginning, and behind each frame. */
  get isBetweenFrames(): boolean {
    return this.#frame === undefined && this.#head.length === 0;
  }

  /** True within a frame once all of its head has come. */
  get knowsFrame(): boolean {
    return this.#frame !== undefined && this.#wanted === BLOCK_HEAD_BYTES;
  }

  /**
   * Follows the bytes from `at` on. Gives the place where a frame ends, or where its head does, if that lies in them, else their length. Throws
   * Damaged for what is no frame.
   */
  next(data: Uint8Array, at: number): number {
    for (let place = at; ; ) {
      const passed = Math.min(this.#left, data.length - place);
      this.#left -= passed;
      place += passed;
      if (this.#left === 0 && this.#isLastBlock) {
        this.#isLastBlock = false;
        this.#frame = undefined;
        this.#wanted = BEGIN_BYTES;
        return place;
      }
      const byte = data[place];
      if (byte === undefined) return place;
      place += 1;
      this.#head.push(byte);
      if (this.#head.length < this.#wanted) continue;
      if (this.#takeHead(Buffer.from(this.#head))) return place;
    }
  }

  /** True when it was that of a frame, and whole. */
  #takeHead(head: Buffer): boolean {
    if (this.#wanted === BLOCK_HEAD_BYTES) {
      this.#head.length = 0;
      this.#beginBlock(head.readUIntLE(0, BLOCK_HEAD_BYTES));
      return false;
    }
    this.#frame ??= frameHead(head);
    this.#wanted = this.#frame.headBytes;
    if (head.length < this.#wanted) return false;
    this.contentBytes = contentBytesOf(head, this.#frame);
    this.headBytes = head.length;
    this.isRaw = !this.#frame.hasChecksum;
    this.#head.length = 0;
    this.#wanted = BLOCK_HEAD_BYTES;
    return true;
  }

  #beginBlock(head: number): void {
    const type = (head >> 1) & 3;
    if (type === RESERVED) throw new Damaged('it cannot be decompressed: it has a block of a type that does not exist');
    if (type !== RAW) this.isRaw = false;
    this.#isLastBlock = (head & 1) === 1;
    this.#left = type === REPEATED ? 1 : head >> 3;
    if (this.#isLastBlock && this.#frame?.hasChecksum === true) this.#left += CHECKSUM_BYTES;
  }
}

/** Cuts pieces where frames end. Throws Damaged, or what `pieces` throws. */
export async function* cutAtFrames(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const walker = new FrameWalker();
  for await (const piece of pieces) {
    let begin = 0;
    for (let at = 0; at < piece.length; ) {
      at = walker.next(piece, at);
      if (at < piece.length && !walker.isBetweenFrames) continue;
      yield piece.subarray(begin, at);
      begin = at;
    }
  }
}
