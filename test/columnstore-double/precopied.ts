import { createReadStream, lstatSync } from 'node:fs';
import { join } from 'node:path';
import { archivesOf, type BorrowedShard, type ListedEntry, type Shard } from '@stillpoint/shared/manifest';
import { readArchive, readList } from '../../packages/agent/src/archive/index.ts';
import type { CapturedDbroot } from '../../packages/agent/src/columnstore/dbroot/index.ts';
import type { Keyring } from '../../packages/agent/src/encryption/index.ts';
import { accountName } from '../../packages/agent/src/host/index.ts';
import { pictureOf } from './dbroot-tree.ts';

/** What a locked copy of a dbroot would hold: `pictureOf`, with owners. */
export async function lockedPicture(root: string): Promise<string[]> {
  return Promise.all(
    pictureOf(root).map(async (line) => {
      const { uid, gid } = lstatSync(join(root, line.split(' ')[1] ?? ''));
      return `${line} ${await accountName({ uid, gid })}`;
    }),
  ).then((lines) => lines.sort());
}

/** An image, and what opens it if it is encrypted. */
export interface ImageToLookAt extends CapturedDbroot {
  readonly keyring?: Keyring | undefined;
}

/** The same of an image in a part: every byte read, and compared with the list. `partOf` gives the part of another set. */
export async function imagePicture(
  part: string,
  { dbroot, shards, keyring }: ImageToLookAt,
  partOf: (set: string) => string = () => part,
): Promise<string[]> {
  const opened = (shard: Shard | BorrowedShard | undefined) => {
    if (shard === undefined) throw new Error('a part does not have what it names');
    const path = join('set' in shard ? partOf(shard.set) : part, shard.name);
    return { shard, where: 'node pm1', pieces: createReadStream(path) as AsyncIterable<Uint8Array>, keyring };
  };
  const list = (): AsyncIterable<ListedEntry> => readList(opened(shards.find(({ name }) => name === dbroot.list)));
  const listed = (await Array.fromAsync(list())).map(lineOf);
  const read: string[] = [];
  for (const [index, shard] of archivesOf({ shards: [...shards] }, dbroot).entries())
    for await (const { entry } of readArchive({ ...opened(shard), dbroot, index, list })) read.push(lineOf(entry));
  const files = listed.filter((line) => line.startsWith('file '));
  if (read.sort().join('\n') !== files.sort().join('\n')) throw new Error('the shards do not hold what the list says');
  return listed.sort();
}

function lineOf(entry: ListedEntry): string {
  if (entry.type === 'link') return `link ${entry.path} ${entry.mtimeNs} ${entry.target} ${entry.owner}`;
  const line = `${entry.type} ${entry.path} ${entry.mode.replace(/^0+(?=.)/, '')} ${entry.mtimeNs}`;
  return entry.type === 'directory' ? `${line} ${entry.owner}` : `${line} ${entry.sha256} ${entry.owner}`;
}
