/** Everything in a tar archive is padded to blocks of this size. */
export const BLOCK = 512;

/** Zero bytes after `bytes` of content, up to the end of its block. */
export const paddingOf = (bytes: number): number => (BLOCK - (bytes % BLOCK)) % BLOCK;

/** How an archive ends: two blocks of zeros. */
export const END_OF_ARCHIVE_BYTES = 2 * BLOCK;

/** What a header says. */
export interface TarEntry {
  readonly type: 'file' | 'directory' | 'link';
  /** Relative, without an end slash. */
  readonly path: string;
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Names of the two; empty where they have none. */
  readonly user: string;
  readonly group: string;
  /** Since 1970. */
  readonly mtimeNs: bigint;
  /** Bytes of content; 0 for anything but a file. */
  readonly size: number;
  /** Where a link leads; empty for anything else. */
  readonly target: string;
}

/** Places of the fields in a ustar header: offset and length. */
export const FIELD = {
  name: [0, 100],
  mode: [100, 8],
  uid: [108, 8],
  gid: [116, 8],
  size: [124, 12],
  mtime: [136, 12],
  checksum: [148, 8],
  type: [156, 1],
  linkname: [157, 100],
  magic: [257, 8],
  user: [265, 32],
  group: [297, 32],
} as const satisfies Record<string, readonly [number, number]>;

/** Of POSIX.1-1988: `ustar`, NUL, version 00. */
export const MAGIC = 'ustar\x0000';

/** Sum of a header's bytes, with blanks in the place of the sum itself. */
export function checksumOf(block: Uint8Array): number {
  const [from, length] = FIELD.checksum;
  let sum = 0x20 * length;
  for (const byte of block.subarray(0, from)) sum += byte;
  for (const byte of block.subarray(from + length, BLOCK)) sum += byte;
  return sum;
}
