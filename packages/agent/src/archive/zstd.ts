import type { TransformOptions } from 'node:stream';
import {
  createZstdCompress,
  createZstdDecompress,
  constants as ZLIB,
  type ZstdCompress,
  type ZstdDecompress,
  type ZstdOptions,
} from 'node:zlib';
import { Damaged } from './damaged.ts';
import { cutAtFrames } from './frame-walker.ts';

/** In pieces of this size, compressing in the thread pool loses little time in between; the default is a sixteenth of it. */
export const PIECE_BYTES = 1024 * 1024;
/** Of the output: what is made of one piece always has room, so that nothing has to be read while it is worked on. */
const OUTPUT_BYTES = 4 * PIECE_BYTES;

/**
 * Makes frames, one after the other, each with a checksum of its content. One compressor for all of them: to set one up for each would cost more than
 * small frames do, and its memory would wait for the collector. One call at a time.
 */
export class FrameCompressor {
  readonly #zstd: ZstdCompress;
  #fail: (error: Error) => void = () => {};

  constructor(level: number) {
    const options: ZstdOptions & TransformOptions = {
      chunkSize: PIECE_BYTES,
      readableHighWaterMark: OUTPUT_BYTES,
      params: { [ZLIB.ZSTD_c_compressionLevel]: level, [ZLIB.ZSTD_c_checksumFlag]: 1 },
    };
    this.#zstd = createZstdCompress(options);
    // A stream that fails while it works on a piece does not say that it is done with it.
    this.#zstd.on('error', (error) => this.#fail(error));
  }

  /** Takes bytes, at most `PIECE_BYTES` at once; they are done with afterwards. Gives what is finished so far of the frame. */
  async add(data: Uint8Array): Promise<Buffer> {
    if (data.length > PIECE_BYTES) throw new Error(`a piece has ${data.length} bytes`);
    await this.#working((done) => this.#zstd.write(data, done));
    return this.#finished();
  }

  /** Ends the frame, and gives the rest of it. */
  async end(): Promise<Buffer> {
    await this.#working((done) => this.#zstd.flush(ZLIB.ZSTD_e_end, done));
    return this.#finished();
  }

  /** Gives its memory back. */
  close(): void {
    this.#zstd.destroy();
  }

  #working(work: (done: (error?: Error | null) => void) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#fail = reject;
      work((error) => (error ? reject(error) : resolve()));
    });
  }

  #finished(): Buffer {
    return (this.#zstd.read() as Buffer | null) ?? Buffer.alloc(0);
  }
}

/** What is in frames, one after the other, at most `most` bytes at once. Throws Damaged, also for what is no frame, or what `pieces` throws. */
export async function* decompressing(pieces: AsyncIterable<Uint8Array>, most = PIECE_BYTES): AsyncGenerator<Buffer> {
  const zstd = createZstdDecompress({ chunkSize: most });
  let failure: { readonly reason: unknown } | undefined;
  const feeding = feed(cutAtFrames(pieces), zstd, (reason) => {
    failure = { reason };
  });
  try {
    for await (const piece of zstd as AsyncIterable<Buffer>) yield piece;
  } catch (error) {
    if (failure !== undefined) throw failure.reason;
    throw new Damaged(`it cannot be decompressed: ${(error as Error).message}`);
  } finally {
    zstd.destroy();
    await feeding;
  }
}

async function feed(pieces: AsyncIterable<Uint8Array>, zstd: ZstdDecompress, onFailure: (reason: unknown) => void): Promise<void> {
  // A stream that fails while it works on a piece does not say that it is done with it.
  let settle: (taken: boolean) => void = () => {};
  zstd.once('close', () => settle(false));
  try {
    for await (const piece of pieces) {
      if (piece.length === 0) continue;
      const taken = await new Promise<boolean>((resolve) => {
        settle = resolve;
        zstd.write(piece, (error) => resolve(!error));
        if (zstd.closed) resolve(false);
      });
      if (!taken) return;
    }
    zstd.end();
  } catch (reason) {
    onFailure(reason);
    zstd.destroy(new Error('its input failed'));
  }
}
