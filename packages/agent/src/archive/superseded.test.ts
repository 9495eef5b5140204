import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ListedEntry, ListedFile, Shard } from '@stillpoint/shared/manifest';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ArchiveWriter, readArchive } from './index.ts';

interface Written {
  readonly data: Buffer;
  readonly shard: Shard;
  readonly list: readonly ListedEntry[];
}

const TIME = 1_795_252_500_123_456_789n;
const GROUPS = ['a', 'bcd', 'e', 'fghij', 'k'];
const contentOf = (name: string): Buffer => Buffer.alloc(name.charCodeAt(0) * 70, name);

let home: string;
let written: Written;
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'stillpoint-superseded-'));
  written = write();
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

/** Groups of one file stand alone, others share a frame; then a directory. */
function write(): Written {
  const path = join(home, 'dbroot1.base.0.tar.zst');
  const writer = new ArchiveWriter(path, 1);
  const common = { uid: 999, gid: 999, user: '', group: '', mtimeNs: TIME, target: '' };
  const listed = { owner: '999:999', mtimeNs: String(TIME) };
  const list: ListedEntry[] = [{ type: 'directory', path: 'd', mode: '0750', ...listed }];
  for (const group of GROUPS) {
    const files = [...group].map((name) => {
      const content = contentOf(name);
      let at = 0;
      return {
        entry: { type: 'file' as const, path: `d/${name}`, mode: 0o640, ...common, size: content.length },
        fill: (into: Buffer): void => {
          at += content.copy(into, 0, at);
        },
        sha256: createHash('sha256').update(content).digest('hex'),
      };
    });
    const [only] = files;
    const places = files.length === 1 && only !== undefined ? [writer.addAlone(only)] : writer.addTogether(files);
    for (const [index, { entry, sha256 }] of files.entries()) {
      const place = places[index] ?? { frame: 0, frameBytes: 1, at: 0 };
      list.push({ type: 'file', path: entry.path, mode: '0640', ...listed, size: entry.size, sha256, shard: 0, ...place });
    }
  }
  writer.addPlain([{ type: 'directory', path: 'd', mode: 0o750, ...common, size: 0 }]);
  const { bytes: storedBytes, sha256 } = writer.end();
  const shard = { name: 'dbroot1.base.0.tar.zst', content: 'dbroot', encoding: 'tar+zstd', storedBytes, sha256 } satisfies Shard;
  return { data: readFileSync(path), shard, list };
}

/** Names and content of the files that are given. */
async function read(list: readonly ListedEntry[], superseded: boolean): Promise<[string, string][]> {
  const pieces = async function* (): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < written.data.length; at += 100) yield written.data.subarray(at, at + 100);
  };
  const archive = readArchive({
    dbroot: { number: 1, shards: [written.shard.name], ...(superseded && { superseded }) },
    ...{ index: 0, shard: written.shard, where: 'node pm1', pieces: pieces() },
    list: async function* () {
      yield* list;
    },
  });
  const files: [string, string][] = [];
  for await (const { entry, content } of archive) files.push([entry.path, Buffer.concat(await Array.fromAsync(content)).toString()]);
  return files;
}

describe('a shard with files that the list does not have any more', () => {
  test('gives the others, wherever they lie; one that may not have such files is refused', { timeout: 60_000 }, async () => {
    const names = [...GROUPS.join('')];
    await fc.assert(
      fc.asyncProperty(fc.subarray(names), async (live) => {
        const list = written.list.filter((entry) => entry.type !== 'file' || live.includes(entry.path.slice(2)));
        const expected = live.map((name) => [`d/${name}`, contentOf(name).toString()]);
        expect(await read(list, true)).toEqual(expected);
        if (live.length === names.length) expect(await read(list, false)).toEqual(expected);
        else await expect(read(list, false)).rejects.toThrow(/is damaged: /);
      }),
      { numRuns: 100 },
    );
  });

  test('is refused when one of the others is not where the list says, or not in the list of directories', async () => {
    const refused = async (path: string, change: Partial<ListedFile>): Promise<string> => {
      const list = written.list.map((entry) => (entry.path === path ? ({ ...entry, ...change } as ListedEntry) : entry));
      return String(await read(list, true).catch((error: unknown) => error));
    };
    expect(await refused('d/c', { path: 'd/x' })).toMatch(/d\/x, .*has the path "d\/c", the list "d\/x"/);
    expect(await refused('d/c', { at: 1537 })).toMatch(/d\/c, in the frame at byte/);
    expect(await refused('d/k', { at: 7 })).toMatch(/d\/k, .*it begins at \d+ of its frame, and at 7 in the list/);
    expect(await refused('d/e', { frame: 3 })).toMatch(/the list has d\/e in a frame at byte 3, and the one before ends at \d{2,}/);
    expect(await refused('d/e', { sha256: 'a'.repeat(64) })).toMatch(/d\/e, .*its content is not what the list says/);
    await expect(read(written.list.slice(1), true)).rejects.toThrow(/it holds what is not in the list/);
  });
});
