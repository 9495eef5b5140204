import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { zstdDecompressSync } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { rawFrame } from './raw-frame.ts';

const BORDERS = [0, 1, 128 * 1024 - 1, 128 * 1024, 128 * 1024 + 1, 1024 * 1024, 8 * 1024 * 1024];

test('is read by zstd, also several in a row', () => {
  for (const length of BORDERS) {
    const data = randomBytes(length);
    const frames = Buffer.concat([...rawFrame(data), ...rawFrame(Buffer.from('end'))]);
    const out = execFileSync('zstd', ['-dc', '-q'], { input: frames, maxBuffer: 1 << 26 });
    expect(out.equals(Buffer.concat([data, Buffer.from('end')]))).toBe(true);
    expect(frames.length).toBeLessThanOrEqual(length + 30 + 3 * Math.ceil(length / (128 * 1024)));
  }
});

test('is read by the library, whatever its size', () => {
  fc.assert(
    fc.property(fc.oneof(fc.constantFrom(...BORDERS), fc.integer({ min: 0, max: 400_000 })), (length) => {
      const data = randomBytes(length);
      expect(zstdDecompressSync(Buffer.concat(rawFrame(data))).equals(data)).toBe(true);
    }),
    { numRuns: 50 },
  );
});

test('holds no more than any reader has memory for', () => {
  expect(() => rawFrame(Buffer.alloc(8 * 1024 * 1024 + 1))).toThrow('a frame of');
});
