import { hash } from 'node:crypto';

/** Blocks of large files are compared by digests of this length: half a sha256. */
export const DIGEST_BYTES = 16;
/** A changed file of this size and more is taken block by block, if it was stored before. */
export const LARGE_BYTES = 8 * 1024 * 1024;

/** On a thread: digest of a block. */
export const blockDigest = (block: Uint8Array): Buffer => (hash('sha256', block, 'buffer') as Buffer).subarray(0, DIGEST_BYTES);

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
