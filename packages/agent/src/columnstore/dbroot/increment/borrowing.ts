import type { BorrowedShard, ListedFile } from '@stillpoint/shared/manifest';
import type { ParentDbroot } from './parent-dbroot.ts';

/** What of a dbroot lies in parts of other sets. */
export interface Borrowed {
  readonly shards: readonly BorrowedShard[];
  readonly files: number;
  readonly dataBytes: number;
}

/** Adds up what a dbroot borrows of its parent, to say where it lies. */
export class Borrowing {
  readonly #parent: ParentDbroot;
  readonly #used = new Set<number>();
  #files = 0;
  #dataBytes = 0;

  constructor(parent: ParentDbroot) {
    this.#parent = parent;
  }

  /** A file that lies in that archive of the parent's. */
  add(archive: number, { size }: Pick<ListedFile, 'size'>): void {
    this.#used.add(archive);
    this.#files += 1;
    this.#dataBytes += size;
  }

  /** What part.json says of it; undefined when it is nothing. */
  get all(): Borrowed | undefined {
    const shards = this.#order.flatMap((index) => this.#parent.archives[index] ?? []);
    return this.#files === 0 ? undefined : { shards, files: this.#files, dataBytes: this.#dataBytes };
  }

  /** What number each of the parent's archives has in the list, when so many of the dbroot's own come first. */
  places(ownShards: number): ReadonlyMap<number, number> {
    return new Map(this.#order.map((index, place) => [index, ownShards + place]));
  }

  /** Those that are needed. The parent's own are younger than those that it borrows. */
  get #order(): number[] {
    const { archives, ownArchives } = this.#parent;
    return [...archives.keys()].map((_, index) => (index + ownArchives) % archives.length).filter((index) => this.#used.has(index));
  }
}
