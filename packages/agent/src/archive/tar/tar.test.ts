import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BLOCK, END_OF_ARCHIVE_BYTES, type TarEntry } from './blocks.ts';
import { decodeHeader, type ReadBytes } from './decode.ts';
import { encodeHeader } from './encode.ts';

const plain: TarEntry = {
  type: 'file',
  path: '000.dir/FILE000.cdf',
  mode: 0o644,
  uid: 999,
  gid: 999,
  user: 'mysql',
  group: 'mysql',
  mtimeNs: 1_795_252_500_000_000_000n,
  size: 8192,
  target: '',
};

function reader(data: Buffer): ReadBytes {
  let at = 0;
  return async (bytes) => {
    if (at + bytes > data.length) throw new Error('no more');
    at += bytes;
    return data.subarray(at - bytes, at);
  };
}

const name = fc
  .string({ unit: 'binary', minLength: 1, maxLength: 60 })
  .filter((text) => !/[/\0]/.test(text) && text !== '.' && text !== '..');
const path = fc.array(name, { minLength: 1, maxLength: 5 }).map((names) => names.join('/'));
const common = {
  path,
  mode: fc.integer({ min: 0, max: 0o7777 }),
  uid: fc.oneof(fc.integer({ min: 0, max: 65_535 }), fc.integer({ min: 2_097_150, max: 4_294_967_294 })),
  gid: fc.oneof(fc.integer({ min: 0, max: 65_535 }), fc.integer({ min: 2_097_150, max: 4_294_967_294 })),
  user: fc.constantFrom('', 'mysql', 'größe'),
  group: fc.constantFrom('', 'mysql'),
  mtimeNs: fc.bigInt({ min: -(2n ** 62n), max: 2n ** 62n }),
};
const entry: fc.Arbitrary<TarEntry> = fc.oneof(
  fc.record({ ...common, type: fc.constant('file'), size: fc.oneof(fc.nat(), fc.maxSafeNat()), target: fc.constant('') }),
  fc.record({ ...common, type: fc.constant('directory'), size: fc.constant(0), target: fc.constant('') }),
  fc.record({ ...common, type: fc.constant('link'), size: fc.constant(0), target: path }),
);

describe('tar headers', () => {
  test('are read as they were written, whatever is in them', async () => {
    await fc.assert(
      fc.asyncProperty(entry, async (written) => {
        const blocks = encodeHeader(written);
        expect(blocks.length % BLOCK).toBe(0);
        expect(await decodeHeader(reader(blocks))).toEqual(written);
      }),
      { numRuns: 500 },
    );
  });

  test('need no more than a block where nothing is unusual', () => {
    expect(encodeHeader(plain)).toHaveLength(BLOCK);
    expect(encodeHeader({ ...plain, mtimeNs: plain.mtimeNs + 1n })).toHaveLength(3 * BLOCK);
  });

  test.each([
    ['a name of 100 bytes', { path: 'n'.repeat(100) }, 1],
    ['a name of 101 bytes', { path: 'n'.repeat(101) }, 3],
    ['8 GiB less a byte', { size: 2 ** 33 - 1 }, 1],
    ['8 GiB', { size: 2 ** 33 }, 3],
    ['a time before 1970', { mtimeNs: -1_500_000_000n }, 3],
    ['a name that fills several blocks', { path: `${'n'.repeat(255)}/${'m'.repeat(255)}` }, 4],
  ])('of %s', async (_what, fields, blocks) => {
    const written = { ...plain, ...fields };
    expect(encodeHeader(written)).toHaveLength(blocks * BLOCK);
    expect(await decodeHeader(reader(encodeHeader(written)))).toEqual(written);
  });

  test('are understood by the tar of the system', () => {
    const entries: TarEntry[] = [
      { ...plain, size: 0, path: `${'long/'.repeat(40)}größe x'"\\`, mtimeNs: 1_795_252_500_123_456_789n },
      { ...plain, size: 0, uid: 3_000_000, user: '', group: '' },
      { ...plain, type: 'directory', size: 0, path: 'd'.repeat(120), mode: 0o750 },
      { ...plain, type: 'link', size: 0, path: 'l', target: 't'.repeat(150) },
    ];
    const input = Buffer.concat([...entries.map(encodeHeader), Buffer.alloc(END_OF_ARCHIVE_BYTES)]);
    const options = ['-tv', '--full-time', '--numeric-owner', '--quoting-style=literal'];
    const lines = execFileSync('tar', options, { input, encoding: 'utf8', env: { ...process.env, TZ: 'UTC' } })
      .trim()
      .split('\n');
    expect(lines.map((line) => line.replace(/ +/g, ' '))).toEqual([
      `-rw-r--r-- 999/999 0 2026-11-21 09:15:00.123456789 ${entries[0]?.path}`,
      '-rw-r--r-- 3000000/999 0 2026-11-21 09:15:00 000.dir/FILE000.cdf',
      `drwxr-x--- 999/999 0 2026-11-21 09:15:00 ${'d'.repeat(120)}/`,
      `lrw-r--r-- 999/999 0 2026-11-21 09:15:00 l -> ${'t'.repeat(150)}`,
    ]);
  });

  test('end with two blocks of zeros', async () => {
    expect(await decodeHeader(reader(Buffer.alloc(END_OF_ARCHIVE_BYTES)))).toBeUndefined();
    await expect(decodeHeader(reader(Buffer.concat([Buffer.alloc(BLOCK), encodeHeader(plain)])))).rejects.toThrow('end of the archive');
  });

  test('are refused when a bit is not what was written', async () => {
    const good = encodeHeader({ ...plain, path: 'n'.repeat(101) });
    for (const at of [0, 100, 136, 156, 257, BLOCK + 3, 2 * BLOCK + 101]) {
      const bad = Buffer.from(good);
      bad[at] = (bad[at] ?? 0) ^ 1;
      const read = await decodeHeader(reader(bad)).catch((error: Error) => error.message);
      expect(read, String(at)).not.toEqual({ ...plain, path: 'n'.repeat(101) });
    }
  });

  test('of what is never written are refused', async () => {
    const block = encodeHeader(plain);
    block[156] = 0x33;
    block.write(`${(Number.parseInt(block.toString('latin1', 148, 154), 8) + 3).toString(8).padStart(6, '0')}\0 `, 148);
    await expect(decodeHeader(reader(block))).rejects.toThrow('of type "3"');
  });
});
