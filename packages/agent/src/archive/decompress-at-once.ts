import { zstdDecompressSync } from 'node:zlib';
import { unbroken } from '../thread/unbroken.ts';
import { Damaged } from './damaged.ts';
import { FrameWalker } from './frame-walker.ts';
import { giveBack } from './give-back.ts';
import { decompressing } from './zstd.ts';

/** Frames with more in them, or of which nobody says how much, are decompressed in passing. We write frames of 1 MiB, and few times that at most. */
const LARGEST_BYTES = 32 * 1024 * 1024;
/** More than there is room for in the output: zstd must see that nothing is left, else it wants another buffer. */
const SPARE_BYTES = 64;
const BLOCK_BYTES = 128 * 1024;
const BLOCK_HEAD_BYTES = 3;

/**
 * What is in frames, one after the other, as `decompressing` gives it; but each frame is decompressed at once, in the thread that calls, and a piece
 * is gone when the next one is asked for. Also takes the pieces that it is given: their memory is given back. Throws Damaged, or what `pieces`
 * throws.
 */
export async function* decompressingAtOnce(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const source = new FrameSource(pieces);
  try {
    while (await source.beginFrame()) {
      const { contentBytes } = source.walker;
      if (contentBytes === undefined || contentBytes > LARGEST_BYTES) yield* decompressing(source.restOfFrame());
      else yield* contentOf(await source.wholeFrame(), source.walker, contentBytes);
    }
  } finally {
    await source.close();
  }
}

function* contentOf(frame: Buffer, { isRaw, headBytes }: FrameWalker, contentBytes: number): Generator<Uint8Array> {
  if (isRaw) {
    yield* rawContent(frame, headBytes, contentBytes);
    return;
  }
  const room = contentBytes + SPARE_BYTES;
  const content = decompress(frame, room);
  if (content.length !== contentBytes) throw new Damaged(`it cannot be decompressed: ${content.length} bytes instead of ${contentBytes}`);
  yield content;
  giveBack(content, room);
}

function decompress(frame: Buffer, room: number): Buffer {
  try {
    return unbroken(() => zstdDecompressSync(frame, { chunkSize: room, maxOutputLength: room }));
  } catch (error) {
    throw new Damaged(`it cannot be decompressed: ${(error as Error).message}`);
  }
}

/** Blocks of content as it is, each behind its head. */
function* rawContent(frame: Buffer, headBytes: number, contentBytes: number): Generator<Uint8Array> {
  let sum = 0;
  for (let at = headBytes; at < frame.length; ) {
    const bytes = frame.readUIntLE(at, BLOCK_HEAD_BYTES) >> 3;
    if (bytes > BLOCK_BYTES) throw new Damaged(`it cannot be decompressed: it has a block of ${bytes} bytes`);
    at += BLOCK_HEAD_BYTES;
    if (bytes > 0) yield frame.subarray(at, at + bytes);
    at += bytes;
    sum += bytes;
  }
  if (sum !== contentBytes) throw new Damaged(`it cannot be decompressed: ${sum} bytes instead of ${contentBytes}`);
}

/** Frames out of pieces. */
class FrameSource {
  /** Tells of the present frame. */
  readonly walker = new FrameWalker();
  readonly #pieces: AsyncIterator<Uint8Array>;
  #piece: Uint8Array = new Uint8Array();
  #at = 0;
  /** The present frame, as far as it was read; used again for the next one. */
  #frame = Buffer.allocUnsafeSlow(2 * 1024 * 1024);
  #length = 0;

  constructor(pieces: AsyncIterable<Uint8Array>) {
    this.#pieces = pieces[Symbol.asyncIterator]();
  }

  /** Reads the head of the next frame. False at the end. Throws Damaged when there is half of one. */
  async beginFrame(): Promise<boolean> {
    this.#length = 0;
    while (!this.walker.knowsFrame) {
      if (await this.#step()) continue;
      if (this.#length === 0) return false;
      throw new Damaged('it cannot be decompressed: it ends within a frame');
    }
    return true;
  }

  /** The present frame. */
  async wholeFrame(): Promise<Buffer> {
    for await (const _ of this.#steps());
    return this.#frame.subarray(0, this.#length);
  }

  /** The present frame, of any length, in pieces. */
  async *restOfFrame(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(this.#frame.subarray(0, this.#length));
    this.#length = 0;
    for await (const _ of this.#steps()) {
      yield Buffer.from(this.#frame.subarray(0, this.#length));
      this.#length = 0;
    }
  }

  async close(): Promise<void> {
    await this.#pieces.return?.();
  }

  async *#steps(): AsyncGenerator<void> {
    while (!this.walker.isBetweenFrames) {
      if (!(await this.#step())) throw new Damaged('it cannot be decompressed: it ends within a frame');
      yield;
    }
  }

  /** Takes as much as the walker goes at once. False at the end. */
  async #step(): Promise<boolean> {
    while (this.#at === this.#piece.length) {
      const next = await this.#pieces.next();
      if (next.done) return false;
      this.#piece = next.value;
      this.#at = 0;
    }
    const end = this.walker.next(this.#piece, this.#at);
    this.#keep(this.#piece.subarray(this.#at, end));
    this.#at = end;
    return true;
  }

  #keep(bytes: Uint8Array): void {
    if (this.#length + bytes.length > this.#frame.length) {
      const larger = Buffer.allocUnsafeSlow(2 * (this.#length + bytes.length));
      this.#frame.copy(larger, 0, 0, this.#length);
      this.#frame = larger;
    }
    this.#frame.set(bytes, this.#length);
    this.#length += bytes.length;
  }
}
