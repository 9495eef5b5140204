import { promisify } from 'node:util';
import {
  createZstdCompress,
  createZstdDecompress,
  constants as ZLIB,
  type ZstdCompress,
  type ZstdDecompress,
  type ZstdOptions,
  zstdCompress,
} from 'node:zlib';
import { Damaged } from './damaged.ts';

/** In pieces of this size, compressing in the thread pool loses little time in between; the default is a sixteenth of it. */
export const PIECE_BYTES = 1024 * 1024;
/** What a frame of bytes that cannot be compressed may have beyond them. */
const FRAME_OVERHEAD = 64 * 1024;

const settings = (level: number): ZstdOptions => ({
  params: { [ZLIB.ZSTD_c_compressionLevel]: level, [ZLIB.ZSTD_c_checksumFlag]: 1 },
});

/** One frame of bytes that are in memory. */
export const compressed = (data: Buffer, level: number): Promise<Buffer> =>
  promisify(zstdCompress)(data, { ...settings(level), chunkSize: data.length + FRAME_OVERHEAD });

/**
 * One frame of any size, piece by piece. A piece is done with when the next one is asked for. `bytes` is the size of all of them, so that it
 * stands in the frame; undefined when that is not known. Throws what `pieces` throws.
 */
export const compressing = (pieces: AsyncIterable<Uint8Array>, bytes: number | undefined, level: number): AsyncGenerator<Buffer> =>
  through(
    pieces,
    createZstdCompress({ ...settings(level), chunkSize: PIECE_BYTES, ...(bytes === undefined ? {} : { pledgedSrcSize: bytes }) }),
  );

/** What is in one frame. Throws Damaged, also when something follows the frame, or what `pieces` throws. */
export async function* decompressing(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  const zstd = createZstdDecompress({ chunkSize: PIECE_BYTES });
  let given = 0;
  const counted = async function* (): AsyncGenerator<Uint8Array> {
    for await (const piece of pieces) {
      given += piece.length;
      yield piece;
    }
  };
  yield* through(counted(), zstd, (error) => new Damaged(`it cannot be decompressed: ${error.message}`));
  if (zstd.bytesWritten !== given) throw new Damaged(`${given - zstd.bytesWritten} bytes follow the end of the frame`);
}

async function* through(
  pieces: AsyncIterable<Uint8Array>,
  zstd: ZstdCompress | ZstdDecompress,
  failed: (error: Error) => Error = (error) => error,
): AsyncGenerator<Buffer> {
  let failure: { readonly reason: unknown } | undefined;
  const feeding = feed(pieces, zstd, (reason) => {
    failure = { reason };
  });
  try {
    for await (const piece of zstd as AsyncIterable<Buffer>) yield piece;
  } catch (error) {
    if (failure !== undefined) throw failure.reason;
    throw failed(error as Error);
  } finally {
    zstd.destroy();
    await feeding;
  }
}

async function feed(
  pieces: AsyncIterable<Uint8Array>,
  zstd: ZstdCompress | ZstdDecompress,
  onFailure: (reason: unknown) => void,
): Promise<void> {
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
