import { constants as ZLIB, zstdCompressSync } from 'node:zlib';
import { rawFrame } from './raw-frame.ts';

/** What zstd adds at most to what it cannot compress: 1/256 and a little; more room does no harm, less makes it copy. */
const roomFor = (bytes: number): number => bytes + (bytes >> 8) + 1024;

/** Makes zstd frames of blocks, each with a checksum of its content unless it is not compressed. */
export class BlockCompressor {
  readonly #level: number;
  readonly #params: Record<number, number>;

  /** With level 0 nothing is compressed. */
  constructor(level: number) {
    this.#level = level;
    this.#params = { [ZLIB.ZSTD_c_compressionLevel]: level, [ZLIB.ZSTD_c_checksumFlag]: 1 };
  }

  /** One frame, in pieces. They may share memory with `raw`. */
  compress(raw: Buffer): readonly Uint8Array[] {
    if (this.#level === 0) return rawFrame(raw);
    // All of the output at once: with the default size of its pieces zstd takes half as long again.
    return [zstdCompressSync(raw, { chunkSize: roomFor(raw.length), params: this.#params })];
  }
}
