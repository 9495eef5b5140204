import { constants as ZLIB, zstdCompressSync } from 'node:zlib';
import { unbroken } from '../thread/unbroken.ts';
import { ByteStatistics } from './byte-statistics.ts';
import { giveBack } from './give-back.ts';
import { rawFrame } from './raw-frame.ts';

/** What zstd adds at most to what it cannot compress: 1/256 and a little; more room does no harm, less makes it copy. */
const roomFor = (bytes: number): number => bytes + (bytes >> 8) + 1024;

/** Saved less than this, compressing is not worth the time that it takes to undo it. */
const WORTH = 0.03;
/** Blocks stored as they are before zstd is asked again: it sees repetitions, which bytes by themselves do not show. */
const MOST_UNASKED = 7;
/** Smaller blocks are always compressed. */
const SMALL_BYTES = 64 * 1024;

/**
 * Makes zstd frames of blocks. Blocks that follow one which zstd could not make smaller, and look as it did, are stored as they are: that takes a
 * tenth of the time. Only frames that are compressed have a checksum of their content.
 */
export class BlockCompressor {
  readonly #level: number;
  readonly #params: Record<number, number>;
  readonly #statistics = new ByteStatistics();
  /** Blocks that may still be stored without asking zstd. */
  #unasked = 0;

  /** With level 0 nothing is compressed. */
  constructor(level: number) {
    this.#level = level;
    this.#params = { [ZLIB.ZSTD_c_compressionLevel]: level, [ZLIB.ZSTD_c_checksumFlag]: 1 };
  }

  /** Hands one frame over, in pieces. They share memory with `raw`, or are gone when `take` returns. Throws what it throws. */
  compress(raw: Buffer, take: (piece: Uint8Array) => void): void {
    if (this.#level === 0 || this.#isKnownToBeDense(raw)) {
      for (const piece of rawFrame(raw)) take(piece);
      return;
    }
    const room = roomFor(raw.length);
    // All of the output at once: with the default size of its pieces zstd takes half as long again.
    const frame = unbroken(() => zstdCompressSync(raw, { chunkSize: room, params: this.#params }));
    this.#unasked = frame.length > raw.length * (1 - WORTH) ? MOST_UNASKED : 0;
    take(frame);
    giveBack(frame, room);
  }

  #isKnownToBeDense(raw: Buffer): boolean {
    if (this.#unasked === 0 || raw.length < SMALL_BYTES || !this.#statistics.isDense(raw)) return false;
    this.#unasked -= 1;
    return true;
  }
}
