import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BlockCompressor } from './compress.ts';
import { decompressingAtOnce } from './decompress-at-once.ts';
import { rawFrame } from './raw-frame.ts';
import { decompressing, FrameCompressor } from './zstd.ts';

async function* inPieces(data: Uint8Array, bytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < data.length; at += bytes) yield Uint8Array.from(data.subarray(at, at + bytes));
}

async function contentBy(
  way: (pieces: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>,
  stored: Buffer,
  bytes: number,
): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const piece of way(inPieces(stored, bytes))) all.push(Buffer.from(piece));
  return Buffer.concat(all);
}

/** Ways in which a frame came to be: by us, as they are, in a stream that knows no size, and by the program. */
const FRAMES: Record<string, (content: Buffer) => Promise<Buffer>> = {
  block: async (content) => {
    const pieces: Buffer[] = [];
    new BlockCompressor(1).compress(content, (piece) => pieces.push(Buffer.from(piece)));
    return Buffer.concat(pieces);
  },
  raw: async (content) => Buffer.concat(rawFrame(content)),
  streamed: async (content) => {
    const compressor = new FrameCompressor(3);
    const frame = Buffer.concat([await compressor.add(content), await compressor.end()]);
    compressor.close();
    return frame;
  },
  program: async (content) => execFileSync('zstd', ['-q', '-c', '-5'], { input: content, maxBuffer: 1 << 26 }),
  unchecked: async (content) => zstdCompressSync(content),
};

const some = fc.array(
  fc.record({
    way: fc.constantFrom(...Object.keys(FRAMES)),
    bytes: fc.oneof(fc.constantFrom(0, 1, 255, 256, 257, 65_791, 65_792, 131_072, 131_073), fc.nat(600_000)),
    dense: fc.boolean(),
  }),
  { maxLength: 6 },
);

test('whatever made the frames, both ways give what is in them', { timeout: 120_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(some, fc.integer({ min: 1, max: 100_000 }), async (frames, pieceBytes) => {
      const contents = frames.map(({ bytes, dense }) => (dense ? randomBytes(bytes) : Buffer.alloc(bytes, 'a row; ')));
      const stored = Buffer.concat(
        await Promise.all(frames.map(({ way }, index) => FRAMES[way]?.(contents[index] ?? Buffer.alloc(0)) ?? Buffer.alloc(0))),
      );
      const size = Math.max(pieceBytes, Math.ceil(stored.length / 2000));
      const expected = Buffer.concat(contents);
      expect((await contentBy(decompressingAtOnce, stored, size)).equals(expected)).toBe(true);
      if (frames.length > 0) expect((await contentBy(decompressing, stored, size)).equals(expected)).toBe(true);
    }),
    { numRuns: 60 },
  );
});

test('a frame that says it holds more than there is memory for is decompressed in passing', async () => {
  const zeros = Buffer.alloc(100 * 1024 * 1024);
  let bytes = 0;
  for await (const piece of decompressingAtOnce(inPieces(zstdCompressSync(zeros), 1000))) {
    expect(piece.length).toBeLessThanOrEqual(1024 * 1024);
    bytes += piece.length;
  }
  expect(bytes).toBe(zeros.length);
});

test.each(['block', 'raw', 'streamed', 'unchecked'])(
  'a frame of kind %s is refused wherever it ends too early or is another',
  async (kind) => {
    const content = Buffer.alloc(3000, 'a row of a column; ');
    const frame = (await FRAMES[kind]?.(content)) ?? Buffer.alloc(0);
    for (let end = 1; end < frame.length; end += 1 + Math.floor(frame.length / 50)) {
      await expect(contentBy(decompressingAtOnce, frame.subarray(0, end), 7), `${end} bytes`).rejects.toThrow('it cannot be decompressed');
    }
    await expect(contentBy(decompressingAtOnce, Buffer.concat([frame, Buffer.from('more of it')]), 50)).rejects.toThrow(
      'cannot be decompressed',
    );
    if (kind !== 'block' && kind !== 'streamed') return;
    const bad = Buffer.from(frame);
    bad.writeUInt8(bad.readUInt8(bad.length - 1) ^ 1, bad.length - 1);
    await expect(contentBy(decompressingAtOnce, bad, 1000)).rejects.toThrow(/it cannot be decompressed: .*checksum/);
  },
);
