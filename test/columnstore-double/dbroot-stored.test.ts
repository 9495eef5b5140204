import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { getPriority } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import type { ListedEntry, ListedFile, Shard } from '@stillpoint/shared/manifest';
import { PrioritySchema } from '@stillpoint/shared/proto';
import { beforeEach, expect, test } from 'vitest';
import { readArchive, readList } from '../../packages/agent/src/archive/index.ts';
import { type CapturedDbroot, captureDbroot } from '../../packages/agent/src/columnstore/dbroot/index.ts';
import { type Keyring, readKeyring } from '../../packages/agent/src/encryption/index.ts';
import { letStepBack } from '../../packages/agent/src/priority/node.ts';
import { liftLimit, limitNode } from '../../packages/agent/src/throttle/node.ts';
import { type AgeKey, ageKey } from '../harness/age-key.ts';
import { eventually } from '../harness/eventually.ts';
import { testDirectory } from '../harness/mariadb-server.ts';
import { engineTree, layOut, pictureOf } from './dbroot-tree.ts';

let home: string;
let root: string;
let part: string;
let key: AgeKey;
let keyring: Keyring | undefined;
beforeEach(async () => {
  home = testDirectory('dbroot-stored');
  root = join(home, 'data1');
  part = join(home, 'part');
  mkdirSync(part);
  key = ageKey(home);
  keyring = await readKeyring(key.file);
  layOut(root, engineTree({ first: true, columns: 4, segmentBytes: 2_500_000 }));
  return () => rmSync(home, { recursive: true, force: true });
});

const capture = (level: number, recipients: readonly string[], onBytes = (_bytes: number): void => {}): Promise<CapturedDbroot> =>
  captureDbroot({
    ...{ number: 1, path: root, brmDirectory: 'systemFiles/dbrm', part, shards: 2, level, recipients },
    ...{ onFound: () => {}, onBytes, note: () => {}, signal: new AbortController().signal },
  });

/** What a person writes before `zstd -dc`. */
const open = (name: string): string =>
  name.endsWith('.age') ? `age -d -i "${key.file}" "${join(part, name)}"` : `cat "${join(part, name)}"`;

function unpack({ dbroot }: CapturedDbroot): string {
  const target = join(home, 'unpacked');
  mkdirSync(target);
  for (const name of dbroot.shards)
    execFileSync('bash', ['-c', `set -o pipefail; ${open(name)} | zstd -dc | tar -xp -C "$0"`, target], { stdio: 'pipe' });
  return target;
}

const shardOf = ({ shards }: CapturedDbroot, name: string): Shard => {
  const shard = shards.find((each) => each.name === name);
  if (shard === undefined) throw new Error(`no shard ${name}`);
  return shard;
};

async function* piecesOf(name: string): AsyncGenerator<Uint8Array> {
  const data = readFileSync(join(part, name));
  for (let at = 0; at < data.length; at += 100_000) yield data.subarray(at, at + 100_000);
}

/** Reads all of it back, compared with the list. */
async function readBack(captured: CapturedDbroot, keys: Keyring | undefined): Promise<ListedEntry[]> {
  const { dbroot } = captured;
  const stored = (name: string) => ({ shard: shardOf(captured, name), where: 'here', pieces: piecesOf(name), keyring: keys });
  const list = (): AsyncIterable<ListedEntry> => readList(stored(dbroot.list));
  for (const [index, name] of dbroot.shards.entries())
    for await (const { content } of readArchive({ ...stored(name), dbroot, index, list })) for await (const _ of content);
  return Array.fromAsync(list());
}

const storedBytes = ({ dbroot }: CapturedDbroot): number => dbroot.shards.reduce((sum, name) => sum + statSync(join(part, name)).size, 0);

test.each([
  ['encrypted', 3, true],
  ['not compressed', 0, false],
  ['encrypted and not compressed', 0, true],
] as const)(
  'a dbroot that is stored %s is unpacked by the tools of the system to what it was, and read back',
  async (_, level, encrypted) => {
    const captured = await capture(level, encrypted ? [key.recipient] : []);
    const suffix = encrypted ? '.age' : '';
    const { list, shards, dataBytes } = captured.dbroot;
    expect([...shards, list]).toEqual(
      ['dbroot1.base.0.tar.zst', 'dbroot1.base.1.tar.zst', 'dbroot1.files.jsonl.zst'].map((name) => `${name}${suffix}`),
    );
    expect(captured.shards.map(({ encoding }) => encoding.endsWith('+age'))).toEqual([encrypted, encrypted, encrypted]);
    if (level === 0) expect(storedBytes(captured)).toBeGreaterThan(dataBytes);
    else expect(storedBytes(captured)).toBeLessThan(dataBytes);
    expect(pictureOf(unpack(captured))).toEqual(pictureOf(root));
    expect((await readBack(captured, keyring)).length).toBeGreaterThan(10);
    expectInItsFrame(captured, await readBack(captured, keyring));
  },
);

/** A single file is had by its frame alone, once the shard is opened. */
function expectInItsFrame({ dbroot }: CapturedDbroot, entries: readonly ListedEntry[]): void {
  const file = entries.filter((entry): entry is ListedFile => entry.type === 'file').toSorted((a, b) => b.size - a.size)[1];
  if (file === undefined) throw new Error('no file');
  const plain = join(home, 'plain');
  execFileSync('bash', ['-c', `${open(dbroot.shards[file.shard] ?? '')} > "${plain}"`]);
  writeFileSync(`${plain}.frame`, readFileSync(plain).subarray(file.frame, file.frame + file.frameBytes));
  const raw = execFileSync('zstd', ['-dc', `${plain}.frame`], { maxBuffer: 1 << 27 });
  expect(raw.subarray(file.at, file.at + file.size).equals(readFileSync(join(root, file.path)))).toBe(true);
}

test('nothing of its names and contents is to be seen in the files of an encrypted one', async () => {
  const captured = await capture(0, [key.recipient]);
  const stored = Buffer.concat([...captured.dbroot.shards, captured.dbroot.list].map((name) => readFileSync(join(part, name))));
  for (const word of ['FILE000.cdf', 'systemFiles', '"sha256"']) expect(stored.includes(word)).toBe(false);
});

test('without the identity nothing of an encrypted one can be read, and a damaged one is told', async () => {
  const captured = await capture(3, [key.recipient]);
  await expect(readBack(captured, undefined)).rejects.toMatchObject({ code: 'KEY_MISSING' });
  const stranger = await readKeyring(ageKey(home, 'other').file);
  await expect(readBack(captured, stranger)).rejects.toMatchObject({ code: 'KEY_MISSING' });
  const shard = join(part, captured.dbroot.shards[0] ?? '');
  const data = readFileSync(shard);
  data[200_000] = (data[200_000] ?? 0) ^ 1;
  writeFileSync(shard, data);
  await expect(readBack(captured, keyring)).rejects.toMatchObject({ code: 'PART_CORRUPT', message: expect.stringContaining('chunk 3') });
});

test('threads that pack step back and are throttled, until somebody waits for the node', async () => {
  const nice = getPriority() + 4;
  let read = 0;
  // A byte in a second.
  limitNode(1);
  letStepBack(create(PrioritySchema, { nice }));
  const capturing = capture(3, [], (bytes) => {
    read += bytes;
  });
  await eventually(() => readdirSync('/proc/self/task').filter((thread) => niceness(thread) === nice).length === 2);
  const before = read;
  const lower = liftLimit();
  try {
    const { dbroot } = await capturing;
    expect(before).toBeLessThan(dbroot.dataBytes / 2);
    expect(read).toBe(dbroot.dataBytes);
  } finally {
    lower();
    limitNode(0);
    letStepBack(undefined);
  }
});

/** Undefined for a thread that has gone meanwhile. */
function niceness(thread: string): number | undefined {
  try {
    return getPriority(Number(thread));
  } catch {
    return undefined;
  }
}
