import { createReadStream, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { archivesOf, type BorrowedShard, type ListedEntry } from '@stillpoint/shared/manifest';
import { readList } from '../../packages/agent/src/archive/index.ts';
import type { CapturedDbroot, DbrootToCapture, ParentDbroot } from '../../packages/agent/src/columnstore/dbroot/index.ts';
import { imagePicture } from './precopied.ts';

const NODE = 'pm1';

/** A file's ctime proves something to a look that begins so much later, on any file system that keeps parts of seconds. */
export const AGED_MS = 60;

/** Sets of one dbroot, of which each may be an increment of an earlier one. */
export class DbrootChain {
  readonly #home: string;
  readonly #sets = new Map<string, CapturedDbroot>();

  constructor(home: string) {
    this.#home = home;
  }

  /** Where a set's part lies. */
  partOf(set: string): string {
    return join(this.#home, set);
  }

  /** What a capture of the next set is begun with, as an increment of another if that is named. */
  begin(set: string, root: string, parent?: string): DbrootToCapture {
    const part = this.partOf(set);
    mkdirSync(part);
    return {
      ...{ number: 1, path: root, root, brmDirectory: undefined, cluster: 'shop', part, shards: 2, threads: 2, level: 1, recipients: [] },
      parent: parent === undefined ? undefined : this.asParent(parent),
    };
  }

  add(set: string, image: CapturedDbroot): void {
    this.#sets.set(set, image);
  }

  imageOf(set: string): CapturedDbroot {
    const image = this.#sets.get(set);
    if (image === undefined) throw new Error(`no set ${set}`);
    return image;
  }

  /** What lies in a set, whatever set its bytes lie in; see `imagePicture`. */
  pictureOf(set: string): Promise<string[]> {
    return imagePicture(this.partOf(set), this.imageOf(set), (other) => this.partOf(other));
  }

  /** The list of a set. */
  async listOf(set: string): Promise<ListedEntry[]> {
    return Array.fromAsync(this.asParent(set).list(new AbortController().signal));
  }

  asParent(set: string): ParentDbroot {
    const { dbroot, shards } = this.imageOf(set);
    const archives = archivesOf({ shards: [...shards] }, dbroot).map(
      (shard): BorrowedShard => ('set' in shard ? shard : { ...shard, set, node: NODE }),
    );
    const list = shards.find(({ name }) => name === dbroot.list);
    if (list === undefined) throw new Error('a part does not have its list');
    const pieces = (): AsyncIterable<Uint8Array> => createReadStream(join(this.partOf(set), list.name)) as AsyncIterable<Uint8Array>;
    return {
      ...{ setId: set, archives, ownArchives: dbroot.shards.length, files: dbroot.files, lookedAtMs: dbroot.lookedAtMs },
      list: () => readList({ shard: list, where: `set ${set}`, pieces: pieces() }),
    };
  }
}
