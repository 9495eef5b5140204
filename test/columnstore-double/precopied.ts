import { createReadStream, lstatSync } from 'node:fs';
import { join } from 'node:path';
import type { ListedEntry, Shard } from '@stillpoint/shared/manifest';
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

/** The same of an image in a part: every byte read, and compared with the list. */
export async function imagePicture(part: string, { dbroot, shards, keyring }: ImageToLookAt): Promise<string[]> {
  const opened = (name: string) => {
    const shard = shards.find((each) => each.name === name);
    if (shard === undefined) throw new Error(`no shard ${name}`);
    const pieces = createReadStream(join(part, name)) as AsyncIterable<Uint8Array>;
    return { shard: shard satisfies Shard, where: 'node pm1', pieces, keyring };
  };
  const list = (): AsyncIterable<ListedEntry> => readList(opened(dbroot.list));
  const listed = (await Array.fromAsync(list())).map(lineOf);
  const read: string[] = [];
  for (const [index, name] of dbroot.shards.entries())
    for await (const { entry } of readArchive({ ...opened(name), dbroot, index, list })) read.push(lineOf(entry));
  const files = listed.filter((line) => line.startsWith('file '));
  if (read.sort().join('\n') !== files.sort().join('\n')) throw new Error('the shards do not hold what the list says');
  return listed.sort();
}

function lineOf(entry: ListedEntry): string {
  if (entry.type === 'link') return `link ${entry.path} ${entry.mtimeNs} ${entry.target} ${entry.owner}`;
  const line = `${entry.type} ${entry.path} ${entry.mode.replace(/^0+(?=.)/, '')} ${entry.mtimeNs}`;
  return entry.type === 'directory' ? `${line} ${entry.owner}` : `${line} ${entry.sha256} ${entry.owner}`;
}
