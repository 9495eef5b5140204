import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type FileKey, newFileKey, openingFrom, Sealer } from './index.ts';

const CHUNK = 64 * 1024;
const SEALED = CHUNK + 16;
const CONTENT = randomBytes(21 * CHUNK);

let home: string;
let recipients: string[];
beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'stillpoint-opening-'));
  recipients = [await identityToRecipient(await generateX25519Identity()), await identityToRecipient(await generateX25519Identity())];
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

/** A sealed file with so much of the content. */
async function sealed(bytes: number): Promise<{ readonly path: string; readonly key: FileKey }> {
  const path = join(home, 'x.age');
  const key = await newFileKey(recipients);
  const sealer = new Sealer(key);
  writeFileSync(path, Buffer.concat([Buffer.from(sealer.update(CONTENT.subarray(0, bytes))), Buffer.from(sealer.final())]));
  return { path, key };
}

const near = (most: number) =>
  fc.oneof(
    fc.nat(most),
    fc.tuple(fc.nat(20), fc.integer({ min: -1, max: 1 })).map(([n, by]) => n * CHUNK + by),
  );

test('any piece of what was sealed is had alone, wherever it lies', async () => {
  await fc.assert(
    fc.asyncProperty(near(CONTENT.length), near(CONTENT.length), near(CONTENT.length), async (length, from, count) => {
      const size = Math.max(1, length);
      const start = Math.min(size - 1, Math.max(0, from));
      const bytes = Math.min(size - start, Math.max(1, count));
      const { path, key } = await sealed(size);
      expect(CONTENT.subarray(start, start + bytes).equals(await buffer(openingFrom(path, key, start, bytes)))).toBe(true);
    }),
    { numRuns: 150 },
  );
});

test('only the chunks are looked at in which it lies', async () => {
  const { path, key } = await sealed(10 * CHUNK);
  const file = readFileSync(path);
  for (const chunk of [0, 3, 6, 9]) file.fill(0, key.header.length + chunk * SEALED, key.header.length + (chunk + 1) * SEALED);
  writeFileSync(path, file);
  const piece = await buffer(openingFrom(path, key, 4 * CHUNK, 2 * CHUNK));
  expect(piece.equals(CONTENT.subarray(4 * CHUNK, 6 * CHUNK))).toBe(true);
  await expect(buffer(openingFrom(path, key, 4 * CHUNK, 2 * CHUNK + 1))).rejects.toMatchObject({
    name: 'Damaged',
    message: 'chunk 6 of 64 KiB is not what was encrypted',
  });
});

test('a file that ends too early, in a chunk or between two, or that another key has sealed, is told', async () => {
  const { path, key } = await sealed(4 * CHUNK);
  for (const bytes of [2 * SEALED + 5, 3 * SEALED]) {
    truncateSync(path, key.header.length + bytes);
    await expect(buffer(openingFrom(path, key, CHUNK, 3 * CHUNK))).rejects.toMatchObject({ name: 'Damaged' });
  }
  const other = await sealed(4 * CHUNK);
  await expect(buffer(openingFrom(other.path, key, CHUNK, 10))).rejects.toMatchObject({ name: 'Damaged' });
});
