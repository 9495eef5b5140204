import type { ListedFile } from '@stillpoint/shared/manifest';
import { type LinePlace, LinesByPlace } from './lines-by-place.ts';
import type { ParentDbroot } from './parent-dbroot.ts';
import { parentFiles } from './parent-files.ts';

/** Slots for each file: the fewer are taken, the sooner a free one is found. */
const SLOTS_A_FILE = 2;

/**
 * The files of a parent's list, found by their paths: lines on disk, and a few bytes of memory each, as there may be a million. Stamps that do not prove
 * that a file is the same are left out of the lines.
 */
export class KnownFiles {
  readonly #lines: LinesByPlace;
  readonly #at: Float64Array;
  readonly #bytes: Uint32Array;
  readonly #tags: Uint32Array;
  /** Number of a file, from 1; 0 is free. */
  readonly #slots: Uint32Array;
  #count = 0;

  private constructor(lines: LinesByPlace, files: number) {
    this.#lines = lines;
    this.#at = new Float64Array(files);
    this.#bytes = new Uint32Array(files);
    this.#tags = new Uint32Array(files);
    this.#slots = new Uint32Array(Math.max(2, files * SLOTS_A_FILE));
  }

  /** Reads a parent's list, and keeps it in a new file. Throws what `parentFiles` does, or the system's error. */
  static async read(parent: ParentDbroot, path: string, signal: AbortSignal): Promise<KnownFiles> {
    const lines = new LinesByPlace(path);
    try {
      const known = new KnownFiles(lines, parent.files);
      for await (const file of parentFiles(parent, signal)) known.#add(file);
      return known;
    } catch (error) {
      lines.remove();
      throw error;
    }
  }

  /** How many there are; they are numbered from 0, in the order of the list. */
  get count(): number {
    return this.#count;
  }

  /** The number of a file; undefined when the parent does not have it. */
  numberOf(path: string): number | undefined {
    const tag = tagOf(path);
    for (let slot = tag % this.#slots.length; ; slot = (slot + 1) % this.#slots.length) {
      const number = (this.#slots[slot] ?? 0) - 1;
      if (number < 0) return undefined;
      if (this.#tags[number] === tag && this.file(number).path === path) return number;
    }
  }

  file(number: number): ListedFile {
    return JSON.parse(this.#lines.read(this.#placeOf(number))) as ListedFile;
  }

  /** Its content is that of a file that looks otherwise now. Throws the system's error. */
  renew(number: number, file: ListedFile): void {
    this.#place(number, this.#lines.add(JSON.stringify(file)));
  }

  /** Repeatable. Throws the system's error. */
  remove(): void {
    this.#lines.remove();
  }

  #add(file: ListedFile): void {
    const number = this.#count++;
    this.#place(number, this.#lines.add(JSON.stringify(file)));
    const tag = tagOf(file.path);
    this.#tags[number] = tag;
    let slot = tag % this.#slots.length;
    while (this.#slots[slot] !== 0) slot = (slot + 1) % this.#slots.length;
    this.#slots[slot] = number + 1;
  }

  #place(number: number, { at, bytes }: LinePlace): void {
    this.#at[number] = at;
    this.#bytes[number] = bytes;
  }

  #placeOf(number: number): LinePlace {
    return { at: this.#at[number] ?? 0, bytes: this.#bytes[number] ?? 0 };
  }
}

/** FNV-1a over UTF-16: paths that share one are told apart by their lines. */
function tagOf(path: string): number {
  let tag = 0x811c9dc5;
  for (let at = 0; at < path.length; at += 1) tag = Math.imul(tag ^ path.charCodeAt(at), 0x01000193);
  return tag >>> 0;
}
