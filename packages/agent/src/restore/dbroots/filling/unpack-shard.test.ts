import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import { zstdCompressSync } from 'node:zlib';
import { encodeEntry, type ListedEntry, type Shard, sha256Of } from '@stillpoint/shared/manifest';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ArchiveWriter } from '../../../archive/index.ts';
import { type ShardInput, unpackShard } from './unpack-shard.ts';

let home: string;
let stage: string;
let shard: Shard;
let list: ListedEntry[];
let threads: Worker[];
let ended: number;
const onThread = (thread: Worker): void => {
  threads.push(thread);
  thread.once('exit', () => {
    ended += 1;
  });
};

const random = randomBytes(2_500_000);
const content = (index: number): Buffer => Buffer.concat([Buffer.from(`of ${index}`), random]);
const common = { mode: '0640', owner: 'mysql:mysql', mtimeNs: '1700000000000000000' };

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'stillpoint-unpack-'));
  stage = join(home, 'stage');
  mkdirSync(stage);
  const writer = new ArchiveWriter(join(home, 'shard'), 1);
  list = Array.from({ length: 8 }, (_, index): ListedEntry => {
    const data = content(index);
    let at = 0;
    const fill = (into: Buffer): void => {
      at += data.copy(into, 0, at, at + into.length);
    };
    const header = { type: 'file', path: `file${index}`, mode: 0o640, uid: 1, gid: 1, user: '', group: '', target: '' } as const;
    const place = writer.addAlone({ entry: { ...header, mtimeNs: BigInt(common.mtimeNs), size: data.length }, fill });
    return { type: 'file', path: `file${index}`, ...common, size: data.length, sha256: sha256Of(data), shard: 0, ...place };
  });
  const { bytes: storedBytes, sha256 } = writer.end();
  shard = { name: 'dbroot1.base.0.tar.zst', content: 'dbroot', encoding: 'tar+zstd', storedBytes, sha256 };
  threads = [];
  ended = 0;
  process.on('worker', onThread);
});
afterEach(() => {
  process.off('worker', onThread);
  rmSync(home, { recursive: true });
});

async function* inPieces(data: Buffer, each: () => void = () => {}): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < data.length; at += 50_000) {
    each();
    yield Uint8Array.from(data.subarray(at, at + 50_000));
  }
}

async function* listed(entries: readonly ListedEntry[]): AsyncGenerator<Uint8Array> {
  yield* inPieces(zstdCompressSync(Buffer.from(entries.map(encodeEntry).join(''))));
}

function unpack(input: Partial<ShardInput> = {}, signal: AbortSignal = new AbortController().signal): Promise<void> {
  const dbroot = { number: 1, shards: [shard.name] };
  const pieces = (): AsyncIterable<Uint8Array> => inPieces(readFileSync(join(home, 'shard')));
  return unpackShard(
    { dbroot, index: 0, shard, where: 'here', listName: 'dbroot1.files.jsonl.zst', isOpened: false, stage, owner: undefined },
    { pieces, list: () => listed(list), ...input },
    signal,
  );
}

test('a shard is unpacked on a thread that has ended then', async () => {
  await unpack();
  for (const [index, { path }] of list.entries()) expect(readFileSync(join(stage, path)).equals(content(index))).toBe(true);
  expect([threads.length, ended]).toEqual([1, 1]);
});

test('a thread that dies fails the stage', async () => {
  const pieces = (): AsyncIterable<Uint8Array> => inPieces(readFileSync(join(home, 'shard')), () => void threads[0]?.terminate());
  await expect(unpack({ pieces })).rejects.toMatchObject({
    code: 'STAGE_FAILED',
    message: expect.stringMatching(/^The thread of the agent that unpacks dbroot1\.base\.0\.tar\.zst has died: it ended with code \d$/),
  });
  expect([threads.length, ended]).toEqual([1, 1]);
});

test('an abort ends the thread, with the reason', async () => {
  const abort = new AbortController();
  const reason = new Error('the operation is cancelled');
  const pieces = async function* (signal: AbortSignal): AsyncGenerator<Uint8Array> {
    for await (const piece of inPieces(readFileSync(join(home, 'shard')))) {
      abort.abort(reason);
      signal.throwIfAborted();
      yield piece;
    }
  };
  await expect(unpack({ pieces }, abort.signal)).rejects.toBe(reason);
  expect([threads.length, ended]).toEqual([1, 1]);
});

test('what the input throws is thrown, and the thread ends', async () => {
  const gone = new Error('the connection is gone');
  const pieces = async function* (): AsyncGenerator<Uint8Array> {
    yield Uint8Array.from(readFileSync(join(home, 'shard')).subarray(0, 1000));
    throw gone;
  };
  await expect(unpack({ pieces })).rejects.toBe(gone);
  const broken = async function* (): AsyncGenerator<Uint8Array> {
    yield* listed(list.slice(0, 1));
    throw gone;
  };
  for (const path of readdirSync(stage)) rmSync(join(stage, path));
  await expect(unpack({ list: broken })).rejects.toBe(gone);
  expect([threads.length, ended]).toEqual([2, 2]);
});

test('an error of the system and damage come through as what they are', async () => {
  writeFileSync(join(stage, 'file3'), 'in the way');
  await expect(unpack()).rejects.toMatchObject({ code: 'EEXIST' });
  for (const path of readdirSync(stage)) rmSync(join(stage, path));
  const bad = readFileSync(join(home, 'shard'));
  bad.writeUInt8(bad.readUInt8(500) ^ 1, 500);
  await expect(unpack({ pieces: () => inPieces(bad) })).rejects.toMatchObject({
    code: 'PART_CORRUPT',
    message: expect.stringContaining('dbroot1.base.0.tar.zst of here is damaged: '),
  });
  expect([threads.length, ended]).toEqual([2, 2]);
});

test('damage ends all, also what is still to be handed over', async () => {
  const bad = readFileSync(join(home, 'shard'));
  bad.writeUInt8(bad.readUInt8(500) ^ 1, 500);
  const directories = Array.from(
    { length: 50_000 },
    (_, index): ListedEntry => ({ type: 'directory', path: `${index}${random.toString('hex', index, index + 40)}`, ...common }),
  );
  await expect(unpack({ pieces: () => inPieces(bad), list: () => listed([...list, ...directories]) })).rejects.toMatchObject({
    code: 'PART_CORRUPT',
  });
  expect([threads.length, ended]).toEqual([1, 1]);
});

test('a list that is not as it was is refused by the line, and nothing of it is written outside of the stage', async () => {
  const [first, second, ...others] = list as [ListedEntry, ListedEntry, ...ListedEntry[]];
  const outside = [first, { ...second, path: '../outside' }, ...others];
  await expect(unpack({ list: () => listed(outside) })).rejects.toMatchObject({
    code: 'MANIFEST_INVALID',
    message: 'dbroot1.files.jsonl.zst of here, line 2: not understood',
  });
  expect(readdirSync(home).sort()).toEqual(['shard', 'stage']);
  for (const path of readdirSync(stage)) rmSync(join(stage, path));
  const cut = (): AsyncIterable<Uint8Array> => inPieces(zstdCompressSync(Buffer.from(`${list.map(encodeEntry).join('')}{"type":\n`)));
  await expect(unpack({ list: cut })).rejects.toMatchObject({
    code: 'MANIFEST_INVALID',
    message: expect.stringContaining('line 9: is not JSON'),
  });
});
