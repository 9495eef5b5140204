import { randomInt } from 'node:crypto';
import { createXXHash128 } from 'hash-wasm';

/** Bytes of a block's digest. */
export const DIGEST_BYTES = 16;
/** A changed file of this size and more is taken block by block, if it was stored before. */
export const LARGE_BYTES = 8 * 1024 * 1024;

/** Makes digests of one capture comparable with each other, and with no others. */
export type BlockSeed = readonly [number, number];

/** Nobody who writes to the dbroot can know it, so nobody can write blocks that are taken for others. */
export const newBlockSeed = (): BlockSeed => [randomInt(2 ** 32), randomInt(2 ** 32)];

/** Gives the digest of a block. */
export type BlockDigest = (block: Uint8Array) => Uint8Array;

/**
 * On a thread: tells blocks apart, and no more than that; what is stored has its sha256. XXH3 with 128 bits, several times as fast: writers wait while
 * all blocks of a changed file are compared.
 */
export async function blockDigest([low, high]: BlockSeed): Promise<BlockDigest> {
  const hash = await createXXHash128(low, high);
  return (block) => hash.init().update(block).digest('binary');
}

/** Where a block of a file lies, bytes. The first may be shorter: an archive's blocks begin with its header. */
export interface BlockPlace {
  readonly start: number;
  readonly bytes: number;
}

/** Blocks of a file of a size, in order. Pure. */
export function blocksOf(size: number, first: number, blockBytes: number): BlockPlace[] {
  const blocks: BlockPlace[] = [];
  for (let start = 0; start < size; ) {
    const bytes = Math.min(start === 0 ? first : blockBytes, size - start);
    blocks.push({ start, bytes });
    start += bytes;
  }
  return blocks;
}
