import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** What a generated dbroot holds. */
export interface Layout {
  /** Segment files as large columns have them, and their size in bytes. */
  readonly segments: number;
  readonly segmentBytes: number;
  /** Files of small tables, and their size in bytes. */
  readonly small: number;
  readonly smallBytes: number;
}

export const bytesOf = ({ segments, segmentBytes, small, smallBytes }: Layout): number => segments * segmentBytes + small * smallBytes;

const MEBIBYTE = 1024 * 1024;
/** Lengths of the runs of one kind of content, bytes: from and to. */
const RUN = [64 * 1024, 2 * MEBIBYTE] as const;

/**
 * Lays out a dbroot, the same for the same seed. By bytes three fifths are random, as what the engine has compressed well; one fifth are numbers of
 * eight bytes with small values, one fifth text that repeats itself. They take turns in runs of 64 KiB to 2 MiB, at no even places.
 */
export function layOut(root: string, layout: Layout, seed: number): void {
  const random = createRandom(seed);
  const sources = [randomBytes(random), numbers(random), Buffer.alloc(4 * MEBIBYTE, `${seed} a row of a column that repeats itself; `)];
  const file = (kind: string, index: number, bytes: number): void => {
    const path = join(root, '000.dir', kind, `${String(index >> 2).padStart(3, '0')}.dir`, `FILE${String(index % 4).padStart(3, '0')}.cdf`);
    mkdirSync(dirname(path), { recursive: true });
    if (bytes < RUN[0]) writeFileSync(path, pieceOf(sources[index % 5] ?? sources[0], bytes, random));
    else writeRuns(path, bytes, sources, random);
  };
  for (let index = 0; index < layout.segments; index += 1) file('011.dir', index, layout.segmentBytes);
  for (let index = 0; index < layout.small; index += 1) file('012.dir', index, layout.smallBytes);
}

function writeRuns(path: string, bytes: number, sources: readonly Buffer[], random: () => number): void {
  const file = openSync(path, 'wx');
  for (let left = bytes; left > 0; ) {
    const run = Math.min(left, RUN[0] + Math.floor(random() * (RUN[1] - RUN[0])));
    const kind = Math.floor(random() * 5);
    writeSync(file, pieceOf(sources[Math.max(0, kind - 2)], run, random));
    left -= run;
  }
  closeSync(file);
}

/** Some of a source: from another place each time, so that nothing repeats within what zstd looks back on. */
function pieceOf(source: Buffer | undefined, bytes: number, random: () => number): Buffer {
  if (source === undefined) throw new Error('a kind of content that there is not');
  const from = Math.floor((random() * (source.length - bytes)) / 8) * 8;
  return source.subarray(from, from + bytes);
}

/** Between 0 and 1. */
function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function randomBytes(random: () => number): Buffer {
  const data = Buffer.allocUnsafe(64 * MEBIBYTE);
  for (let at = 0; at < data.length; at += 4) data.writeUInt32LE(Math.floor(random() * 2 ** 32), at);
  return data;
}

function numbers(random: () => number): Buffer {
  const data = Buffer.alloc(8 * MEBIBYTE);
  for (let at = 0; at < data.length; at += 8) data.writeUInt32LE(Math.floor(random() * 1000), at);
  return data;
}
