import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { zstdDecompressSync } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BlockCompressor } from './compress.ts';
import { FrameWalker } from './frame-walker.ts';

const BLOCK = 256 * 1024;
const once = randomBytes(4096);

/** Of each kind that a column may hold; `numbers` have dense low bytes, `repeated` are dense byte by byte and yet compressible. */
const KINDS = {
  random: (bytes: number): Buffer => randomBytes(bytes),
  zeros: (bytes: number): Buffer => Buffer.alloc(bytes),
  text: (bytes: number): Buffer => Buffer.alloc(bytes, 'a row of a column that repeats itself; '),
  numbers: (bytes: number): Buffer => {
    const data = Buffer.alloc(bytes);
    for (let at = 0; at < bytes; at += 8) randomBytes(1).copy(data, at);
    return data;
  },
  repeated: (bytes: number): Buffer => Buffer.alloc(bytes, once),
};
type Kind = keyof typeof KINDS;

/** Bytes that each of the blocks takes. */
function compress(level: number, blocks: readonly Buffer[]): { sizes: number[]; stored: Buffer } {
  const compressor = new BlockCompressor(level);
  const frames = blocks.map((block) => {
    const pieces: Buffer[] = [];
    compressor.compress(block, (piece) => pieces.push(Buffer.from(piece)));
    return Buffer.concat(pieces);
  });
  return { sizes: frames.map(({ length }) => length), stored: Buffer.concat(frames) };
}

const made = (kinds: readonly Kind[], bytes = BLOCK): Buffer[] => kinds.map((kind) => KINDS[kind](bytes));

const kind = fc.constantFrom(...(Object.keys(KINDS) as Kind[]));

test('what is compressed is read by zstd, each frame alone and all in a row', { timeout: 60_000 }, () => {
  const block = fc.record({ kind, bytes: fc.oneof(fc.nat(5000), fc.nat(300_000), fc.constantFrom(65_536, BLOCK)) });
  fc.assert(
    fc.property(fc.array(block, { minLength: 1, maxLength: 12 }), fc.constantFrom(0, 1, 3), (some, level) => {
      const blocks = some.map((each) => KINDS[each.kind](each.bytes));
      const { sizes, stored } = compress(level, blocks);
      let at = 0;
      for (const [index, size] of sizes.entries()) {
        expect(zstdDecompressSync(stored.subarray(at, at + size)).equals(blocks[index] ?? Buffer.alloc(0))).toBe(true);
        at += size;
      }
      expect(execFileSync('zstd', ['-dc', '-q'], { input: stored, maxBuffer: 1 << 27 }).equals(Buffer.concat(blocks))).toBe(true);
    }),
    { numRuns: 40 },
  );
});

const CHECKSUM_FLAG = 0x04;
const hasChecksum = (frame: Buffer): boolean => (frame.readUInt8(4) & CHECKSUM_FLAG) !== 0;

test('blocks that zstd made nothing of are followed by such as they are, which take no more', () => {
  const blocks = made(Array(20).fill('random'));
  const { sizes, stored } = compress(1, blocks);
  const raw: boolean[] = [];
  let at = 0;
  for (const size of sizes) {
    raw.push(!hasChecksum(stored.subarray(at, at + size)));
    at += size;
  }
  // Zstd is asked about the first one, and about every eighth.
  expect(raw).toEqual(sizes.map((_, index) => index % 8 !== 0));
  expect(stored.length).toBeLessThan(blocks.length * (BLOCK + 100));
});

test.each<Kind>(['zeros', 'text', 'numbers', 'repeated'])('%s after random bytes are compressed, if not at once', (then) => {
  const { sizes } = compress(1, made(['random', 'random', ...Array(9).fill(then)]));
  // What is dense byte by byte is seen to be compressible when zstd is asked again.
  const allowed = then === 'repeated' ? 6 : 0;
  const large = sizes.slice(2).filter((size) => size > BLOCK / 2);
  expect(large).toHaveLength(allowed);
});

test('frames end where they are said to end, however they come in', { timeout: 60_000 }, () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ kind, bytes: fc.nat(400_000) }), { minLength: 1, maxLength: 6 }),
      fc.constantFrom(0, 1, 19),
      fc.array(fc.integer({ min: 1, max: 200_000 }), { minLength: 1, maxLength: 5 }),
      (some, level, cuts) => {
        const frames = some.map(({ kind: name, bytes }) => {
          if (level !== 19) return compress(level, [KINDS[name](bytes)]).stored;
          // Of a program that knows neither checksum nor size.
          return execFileSync('zstd', ['-q', '-c', '--no-check'], { input: KINDS[name](bytes), maxBuffer: 1 << 26 });
        });
        const all = Buffer.concat(frames);
        const walker = new FrameWalker();
        const ends: number[] = [];
        let begin = 0;
        for (let index = 0; begin < all.length; index += 1) {
          const piece = all.subarray(begin, begin + (cuts[index % cuts.length] ?? 1));
          for (let at = 0; at < piece.length; ) {
            at = walker.next(piece, at);
            if (walker.isBetweenFrames) ends.push(begin + at);
          }
          begin += piece.length;
        }
        let sum = 0;
        expect(ends).toEqual(frames.map(({ length }) => (sum += length)));
      },
    ),
    { numRuns: 60 },
  );
});

test('what is no frame is refused', () => {
  const { stored } = compress(1, made(['text']));
  const refused = (data: Buffer) => () => {
    const walker = new FrameWalker();
    for (let at = 0; at < data.length; ) at = walker.next(data, at);
  };
  expect(refused(Buffer.concat([stored, Buffer.from('more of it')]))).toThrow('something other than a frame of zstd follows');
  const bad = Buffer.from(stored);
  const block = bad.indexOf(0, 5);
  bad.fill(0xff, block, block + 8);
  expect(refused(bad)).toThrow(/it cannot be decompressed/);
});
