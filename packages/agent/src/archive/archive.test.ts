import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { StillpointError } from '@stillpoint/shared/errors';
import type { ListedEntry, ListedFile, Shard } from '@stillpoint/shared/manifest';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ArchiveWriter, readArchive, readList, type StoredFile, type TarEntry, writeList } from './index.ts';

let home: string;
let count = 0;
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'stillpoint-archive-'));
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

const sha256 = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex');
const common = { uid: 999, gid: 999, user: '', group: '', mtimeNs: 1_795_252_500_123_456_789n };
const listed = { owner: '999:999', mtimeNs: String(common.mtimeNs) };

interface Written {
  readonly path: string;
  readonly shard: Shard;
  readonly list: ListedEntry[];
}

const named = (path: string, stored: StoredFile): Shard => ({
  name: path,
  content: 'dbroot',
  encoding: 'tar+zstd',
  storedBytes: stored.bytes,
  sha256: stored.sha256,
});

async function* inPieces(data: Uint8Array, bytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < data.length; at += bytes) yield data.subarray(at, at + bytes);
}

const linkTo = (target: string): string => `link to ${target.replace('/', ' ')}`;

/** One shard: groups of files that share a frame, a file by itself where a group has one, then directories and links. */
function write(groups: readonly (readonly { path: string; content: Buffer }[])[], links: readonly string[] = [], level = 3): Written {
  const path = join(home, `shard-${count++}.tar.zst`);
  const writer = new ArchiveWriter(path, level);
  const list: ListedEntry[] = [{ type: 'directory', path: 'd', mode: '0750', ...listed }];
  for (const target of links) list.push({ type: 'link', path: linkTo(target), mode: '0777', ...listed, target });
  for (const group of groups) {
    const files = group.map(({ path: name, content }) => ({
      entry: { type: 'file', path: name, mode: 0o640, ...common, size: content.length, target: '' } satisfies TarEntry,
      fill: filler(content),
      content,
    }));
    const [only] = files;
    const places = files.length === 1 && only !== undefined ? [writer.addAlone(only)] : writer.addTogether(files);
    for (const [index, { entry, content }] of files.entries()) {
      const place = places[index];
      if (place === undefined) throw new Error('a file without a place');
      list.push({
        type: 'file',
        path: entry.path,
        mode: '0640',
        ...listed,
        size: content.length,
        sha256: sha256(content),
        shard: 0,
        ...place,
      });
    }
  }
  writer.addPlain([
    { type: 'directory', path: 'd', mode: 0o750, ...common, size: 0, target: '' },
    ...links.map((target) => ({ type: 'link', path: linkTo(target), mode: 0o777, ...common, size: 0, target }) satisfies TarEntry),
  ]);
  return { path, shard: named(path, writer.end()), list };
}

/** Gives content piece by piece, as large as it is asked for. */
function filler(content: Buffer): (into: Buffer) => void {
  let at = 0;
  return (into) => {
    at += content.copy(into, 0, at, at + into.length);
  };
}

/** Reads it back; `data` is what lies on disk instead of what was written. */
async function read(
  { path, shard, list }: Written,
  data: Uint8Array = readFileSync(path),
  pieceBytes = 65_536,
): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  const archive = readArchive({
    dbroot: { number: 1, shards: [shard.name] },
    index: 0,
    shard,
    where: 'node pm1',
    pieces: inPieces(data, pieceBytes),
    list: async function* () {
      yield* list;
    },
  });
  for await (const { entry, content } of archive) files.set(entry.path, Buffer.concat(await Array.fromAsync(content)));
  return files;
}

const refusal = async (written: Written, data?: Uint8Array): Promise<string> => {
  const error: unknown = await read(written, data).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(StillpointError);
  expect((error as StillpointError).code).toBe('PART_CORRUPT');
  return (error as StillpointError).message;
};

const flip = (data: Buffer, at: number): void => void data.writeUInt8(data.readUInt8(at) ^ 1, at);

const content = (bytes: number): Buffer => Buffer.from(Array.from({ length: bytes }, (_, index) => (index * index) % 251));

describe('a shard', () => {
  test('is read as it was written, whatever its files', { timeout: 60_000 }, async () => {
    const name = fc.stringMatching(/^[\w äöü"'\\-]{1,150}$/).filter((text) => text !== '.' && text !== '..');
    const file = fc.record({
      path: name.map((text) => `d/${text}`),
      content: fc.uint8Array({ maxLength: 3000 }).map((data) => Buffer.from(data)),
    });
    const groups = fc.array(fc.array(file, { minLength: 1, maxLength: 5 }), { maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(groups, fc.integer({ min: 1, max: 5000 }), async (some, pieceBytes) => {
        const unique = some.map((group, at) => group.map((each, index) => ({ ...each, path: `${each.path}${at}.${index}` })));
        const written = write(unique);
        const files = await read(written, readFileSync(written.path), pieceBytes);
        expect([...files]).toEqual(unique.flat().map(({ path, content: data }) => [path, data]));
        rmSync(written.path);
      }),
      { numRuns: 50 },
    );
  });

  test('is unpacked by the tools of the system, times and modes included', async () => {
    const big = content(3_000_001);
    const { path, list } = write(
      [
        [{ path: 'd/big', content: big }],
        [
          { path: 'd/a', content: content(0) },
          { path: `d/${'n'.repeat(120)}`, content: content(513) },
        ],
      ],
      ['d/big'],
    );
    const target = mkdtempSync(join(home, 'out-'));
    execFileSync('bash', ['-c', 'set -o pipefail; zstd -dc "$0" | tar -xp -C "$1"', path, target], { stdio: 'pipe' });
    for (const entry of list) {
      if (entry.type === 'link') continue;
      const stats = statSync(join(target, entry.path), { bigint: true });
      expect([entry.path, (Number(stats.mode) & 0o7777).toString(8), String(stats.mtimeNs)]).toEqual([
        entry.path,
        entry.mode.slice(1),
        entry.mtimeNs,
      ]);
      if (entry.type === 'file') expect(sha256(readFileSync(join(target, entry.path)))).toBe(entry.sha256);
    }
    expect(readFileSync(join(target, 'link to d big')).equals(big)).toBe(true);
  });

  test('gives any file by one frame of it', async () => {
    const { path, list } = write([
      [
        { path: 'd/a', content: content(10) },
        { path: 'd/b', content: content(600) },
      ],
      [{ path: 'd/c', content: content(70_000) }],
    ]);
    const stored = readFileSync(path);
    const files = list.filter((entry): entry is ListedFile => entry.type === 'file');
    expect(files).toHaveLength(3);
    for (const { frame, frameBytes, at, size, sha256: digest } of files) {
      const raw = zstdDecompressSync(stored.subarray(frame, frame + frameBytes));
      expect(sha256(raw.subarray(at, at + size))).toBe(digest);
    }
  });

  test('may be empty', async () => {
    const written = write([]);
    expect(await read(written)).toEqual(new Map());
  });

  test('is read to its end by whoever skips what is in it', async () => {
    const written = write([
      [{ path: 'd/a', content: content(300_000) }],
      [
        { path: 'd/b', content: content(10) },
        { path: 'd/c', content: content(5) },
      ],
    ]);
    const seen: string[] = [];
    const list = async function* (): AsyncGenerator<ListedEntry> {
      yield* written.list;
    };
    const source = { dbroot: { number: 1, shards: ['x'] }, index: 0, shard: written.shard, where: 'here', list };
    for await (const { entry, content: pieces } of readArchive({ ...source, pieces: inPieces(readFileSync(written.path), 1000) })) {
      seen.push(entry.path);
      if (entry.path === 'd/a') for await (const _ of pieces) break;
    }
    expect(seen).toEqual(['d/a', 'd/b', 'd/c']);
    for await (const _ of readArchive({ ...source, pieces: inPieces(readFileSync(written.path), 1000) })) break;
  });

  test('ends with the error of what it is read from', async () => {
    const written = write([[{ path: 'd/a', content: content(300_000) }]]);
    const gone = new Error('the connection is gone');
    const pieces = async function* (): AsyncGenerator<Uint8Array> {
      yield readFileSync(written.path).subarray(0, 1000);
      throw gone;
    };
    const list = async function* (): AsyncGenerator<ListedEntry> {
      yield* written.list;
    };
    const archive = readArchive({
      dbroot: { number: 1, shards: ['x'] },
      index: 0,
      shard: written.shard,
      where: 'here',
      pieces: pieces(),
      list,
    });
    await expect(Array.fromAsync(archive)).rejects.toBe(gone);
  });
});

describe('a shard that is not what was written', () => {
  let written: Written;
  let good: Buffer;
  beforeAll(async () => {
    written = write(
      [
        [{ path: 'd/big', content: content(50_000) }],
        [
          { path: 'd/a', content: content(10) },
          { path: 'd/b', content: content(600) },
        ],
      ],
      ['d/a'],
    );
    good = readFileSync(written.path);
  });

  test('is refused wherever a bit is another', { timeout: 60_000 }, async () => {
    for (let at = 0; at < good.length; at += 1 + Math.floor(good.length / 200)) {
      const bad = Buffer.from(good);
      flip(bad, at);
      await expect(read(written, bad), `byte ${at}`).rejects.toThrow(/^.*shard-\d+\.tar\.zst of node pm1 is damaged: /);
    }
  });

  test('is refused wherever it stops', { timeout: 60_000 }, async () => {
    for (let end = 0; end < good.length; end += 1 + Math.floor(good.length / 100)) {
      await expect(read(written, good.subarray(0, end)), `${end} bytes`).rejects.toThrow(/is damaged: /);
    }
  });

  test('names the file and the place', async () => {
    const [, , , second] = written.list;
    if (second?.type !== 'file') throw new Error('not a file');
    const bad = Buffer.from(good);
    flip(bad, second.frame + second.frameBytes - 2);
    expect(await refusal(written, bad)).toMatch(
      new RegExp(`: d/a, in the frame at byte ${second.frame}: it cannot be decompressed: .*checksum`),
    );
    expect(await refusal(written, Buffer.concat([good, Buffer.from('x')]))).toMatch(`it has more than ${good.length} bytes`);
  });

  test.each<[string, RegExp, (entry: ListedEntry) => ListedEntry | undefined]>([
    [
      'another digest',
      /d\/a, .*: its content is not what the list says/,
      (entry) => ({ ...entry, ...(entry.path === 'd/a' && { sha256: 'a'.repeat(64) }) }),
    ],
    ['another size', /d\/a, .*has the size 10, the list 11/, (entry) => ({ ...entry, ...(entry.path === 'd/a' && { size: 11 }) })],
    [
      'another mode',
      /d\/a, .*has the mode "0640", the list "0644"/,
      (entry) => ({ ...entry, ...(entry.path === 'd/a' && { mode: '0644' }) }),
    ],
    [
      'another time',
      /d\/b, .*has the time "1795252500123456789", the list "1"/,
      (entry) => ({ ...entry, ...(entry.path === 'd/b' && { mtimeNs: '1' }) }),
    ],
    [
      'another name',
      /d\/x, .*has the path "d\/a", the list "d\/x"/,
      (entry) => ({ ...entry, ...(entry.path === 'd/a' && { path: 'd/x' }) }),
    ],
    [
      'another place in its frame',
      /d\/b, .*it begins at \d+ of its frame, and at 7 in the list/,
      (entry) => ({ ...entry, ...(entry.path === 'd/b' && { at: 7 }) }),
    ],
    [
      'another frame',
      /the list has d\/a in a frame at byte 7, and the one before ends at \d+/,
      (entry) => ({ ...entry, ...(/d\/[ab]$/.test(entry.path) && { frame: 7 }) }),
    ],
    [
      'a frame that is too short',
      /d\/big, .*: it cannot be decompressed/,
      (entry) => ({ ...entry, ...(entry.path === 'd/big' && { frameBytes: 20 }) }),
    ],
    ['a file less', /d\/a, .*: more than that is in its frame/, (entry) => (entry.path === 'd/b' ? undefined : entry)],
    [
      'no first file',
      /the list has d\/a in a frame at byte \d+, and the one before ends at 0/,
      (entry) => (entry.path === 'd/big' ? undefined : entry),
    ],
    ['no link', /the end of the archive, .*: it holds what is not in the list/, (entry) => (entry.type === 'link' ? undefined : entry)],
    [
      'no directory',
      /the end of the archive, .*: its tar header has the path "d", the list "link to d a"/,
      (entry) => (entry.type === 'directory' ? undefined : entry),
    ],
    [
      'another target',
      /has the target "d\/a", the list "\/etc"/,
      (entry) => ({ ...entry, ...(entry.type === 'link' && { target: '/etc' }) }),
    ],
  ])('is refused when the list has %s', async (_what, message, change) => {
    const list = written.list.map((entry) => change(entry) as ListedEntry).filter((entry) => entry !== undefined);
    expect(await refusal({ ...written, list })).toMatch(message);
  });
});

describe('a list on disk', () => {
  const entries: ListedEntry[] = Array.from({ length: 5000 }, (_, index) => ({
    type: 'directory',
    path: `d${index}`,
    mode: '0750',
    ...listed,
  }));
  const store = async (some: ListedEntry[]): Promise<{ data: Buffer; shard: Shard }> => {
    const path = join(home, `list-${count++}`);
    const given = async function* (): AsyncGenerator<ListedEntry> {
      yield* some;
    };
    const shard = named('dbroot1.files.jsonl.zst', await writeList(path, given(), 3));
    return { data: readFileSync(path), shard };
  };
  const load = (data: Buffer, shard: Shard): Promise<ListedEntry[]> =>
    Array.fromAsync(readList({ shard, where: 'node pm1', pieces: inPieces(data, 10_000) }));

  test.each([0, 1, 1024, 5000])('of %i entries is read as it was written', async (length) => {
    const { data, shard } = await store(entries.slice(0, length));
    expect(await load(data, shard)).toEqual(entries.slice(0, length));
    expect(execFileSync('zstd', ['-dc'], { input: data, encoding: 'utf8' }).split('\n')).toHaveLength(length + 1);
  });

  test('of 200,000 entries is written and read in passing', { timeout: 120_000 }, async () => {
    const many = 200_000;
    const path = join(home, `list-${count++}`);
    let most = 0;
    const look = (): void => {
      most = Math.max(most, process.memoryUsage().heapUsed);
    };
    const digests = createHash('sha256');
    const given = async function* (): AsyncGenerator<ListedEntry> {
      for (let index = 0; index < many; index += 1) {
        if (index % 1000 === 0) look();
        const digest = digests.copy().update(String(index)).digest('hex');
        const place = { shard: index % 4, frame: index, frameBytes: 1, at: 512 };
        yield { type: 'file', path: `000.dir/${index}.cdf`, mode: '0660', ...listed, size: index, sha256: digest, ...place };
      }
    };
    const shard = named('dbroot1.files.jsonl.zst', await writeList(path, given(), 3));
    let read = 0;
    const pieces = createReadStream(path, { highWaterMark: 1024 * 1024 });
    for await (const entry of readList({ shard, where: 'node pm1', pieces })) {
      if (entry.type !== 'file' || entry.size !== read) throw new Error(`entry ${read} is ${JSON.stringify(entry)}`);
      if (read % 1000 === 0) look();
      read += 1;
    }
    expect(read).toBe(many);
    console.info(`list of ${many} entries: ${shard.storedBytes} bytes stored, at most ${Math.round(most / 1e6)} MB of heap`);
  });

  test('is refused when it is damaged', async () => {
    const { data, shard } = await store(entries);
    const bad = Buffer.from(data);
    flip(bad, bad.length >> 1);
    await expect(load(bad, shard)).rejects.toThrow(/^dbroot1\.files\.jsonl\.zst of node pm1(?: is damaged|, line \d+)/);
    await expect(load(data.subarray(0, -5), shard)).rejects.toThrow('dbroot1.files.jsonl.zst of node pm1 is damaged');
    await expect(load(data, { ...shard, sha256: 'a'.repeat(64) })).rejects.toThrow('does not hold the bytes that were written');
    writeFileSync(join(home, 'there'), '');
    await expect(writeList(join(home, 'there'), (async function* () {})(), 3)).rejects.toThrow('EEXIST');
  });
});
