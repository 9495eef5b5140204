import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StillpointError } from '../errors/index.ts';
import { decodeEntries, encodeEntry, type ListedEntry, listedEntrySchema } from './index.ts';
import { isListedEntry } from './listed.ts';

const common = { mode: '0644', owner: 'mysql:mysql', mtimeNs: '1795252500123456789' };
const file: ListedEntry = {
  type: 'file',
  path: '000.dir/FILE000.cdf',
  ...common,
  size: 5,
  sha256: 'a'.repeat(64),
  shard: 0,
  frame: 0,
  frameBytes: 100,
  at: 1536,
};

async function* cut(text: string | Uint8Array, pieceBytes: number): AsyncGenerator<Uint8Array> {
  const data = Buffer.from(text as string);
  for (let at = 0; at < data.length; at += pieceBytes) yield data.subarray(at, at + pieceBytes);
}

const read = async (text: string | Uint8Array, pieceBytes = 7): Promise<ListedEntry[]> =>
  (await Array.fromAsync(decodeEntries(cut(text, pieceBytes), 'dbroot1.files'))).flat();

async function refusal(text: string | Uint8Array): Promise<string> {
  const error: unknown = await read(text).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(StillpointError);
  expect((error as StillpointError).code).toBe('MANIFEST_INVALID');
  return (error as StillpointError).message;
}

describe('the list of a dbroot', () => {
  it('is read as it was written, wherever its bytes are cut', async () => {
    const name = fc.string({ unit: 'binary', minLength: 1 }).filter((text) => !/[/\0]/.test(text) && text !== '.' && text !== '..');
    const entry = fc.oneof(
      name.map((path): ListedEntry => ({ type: 'directory', path, ...common })),
      fc.tuple(name, fc.string()).map(([path, target]): ListedEntry => ({ type: 'link', path, ...common, target })),
      fc.tuple(name, fc.maxSafeNat()).map(([path, size]): ListedEntry => ({ ...file, path, size })),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(entry), fc.integer({ min: 1, max: 100 }), async (entries, pieceBytes) => {
        expect(await read(entries.map(encodeEntry).join(''), pieceBytes)).toEqual(entries);
      }),
    );
  });

  it('of nothing is empty', async () => expect(await read('')).toEqual([]));

  const lines = `${encodeEntry(file)}${encodeEntry(file)}`;
  it('is refused by the line that is wrong', async () => {
    expect(await refusal(`${lines}{"type":\n`)).toBe('dbroot1.files, line 3 is not JSON');
    expect(await refusal(`${lines}\n`)).toBe('dbroot1.files, line 3 is not JSON');
    expect(await refusal(`${encodeEntry(file)}${JSON.stringify({ ...file, sha256: 'x' })}\n${lines}`)).toMatch(
      /^dbroot1\.files, line 2: sha256: /,
    );
    expect(await refusal(`${JSON.stringify({ ...file, type: 'socket' })}\n`)).toMatch(/^dbroot1\.files, line 1: type: /);
    expect(await refusal(`${JSON.stringify({ ...file, run: 'rm' })}\n`)).toMatch(/^dbroot1\.files, line 1: .*run/);
  });

  it('is refused when it stops within a line', async () => {
    expect(await refusal(lines.slice(0, -1))).toBe('dbroot1.files stops within line 2');
  });

  it('is refused when it is not text', async () => {
    expect(await refusal(Buffer.concat([Buffer.from(lines), Buffer.from([0x22, 0xff, 0x0a])]))).toMatch(/ is not UTF-8$/);
    expect(await refusal(Buffer.concat([Buffer.from(lines), Buffer.from([0xc3])]))).toMatch(/line 3 is not UTF-8$/);
    expect(await refusal(`"${'x'.repeat(100_000)}`)).toBe('dbroot1.files, line 1 is too long');
  });

  it.each(['/etc/passwd', '../x', 'a/../b', 'a//b', './a', 'a/', ''])('may not lead outside: %j', async (path) => {
    expect(await refusal(`${JSON.stringify({ ...file, path })}\n`)).toBe('dbroot1.files, line 1: path: not a plain relative path');
  });

  it('is checked by hand as its schema would', () => {
    const entries: Record<string, unknown>[] = [
      file,
      { ...file, ctimeNs: '-1', inode: '7' },
      { ...file, inode: '7' },
      { type: 'directory', path: 'a/b', ...common },
      { type: 'link', path: 'a', target: '', ...common },
    ];
    const key = fc.constantFrom(...Object.keys(file), 'ctimeNs', 'inode', 'target', 'run', '__proto__', 'type');
    const text = fc.constantFrom(
      '0644',
      '644',
      'a'.repeat(64),
      '12',
      '-12',
      '',
      '.',
      '..',
      'a/..',
      '../a',
      'a/./b',
      '...',
      'a.',
      '.a/b',
      'a\0',
      '0644\n',
      'file',
      'link',
    );
    const value = fc.oneof(text, fc.jsonValue(), fc.constantFrom(0, -0, 1, -1, 0.5, 2 ** 53, 1e300, null, [], {}));
    const change = fc.tuple(key, fc.oneof(fc.constant(undefined), value));
    fc.assert(
      fc.property(fc.constantFrom(...entries), fc.array(change, { maxLength: 3 }), (entry, changes) => {
        // As a line has it: undefined takes a key away.
        const json: unknown = JSON.parse(JSON.stringify({ ...entry, ...Object.fromEntries(changes) }));
        expect(isListedEntry(json)).toBe(listedEntrySchema.safeParse(json).success);
      }),
      { numRuns: 2000 },
    );
    for (const none of [null, 7, 'file', [], undefined]) expect(isListedEntry(none)).toBe(false);
  });
});
