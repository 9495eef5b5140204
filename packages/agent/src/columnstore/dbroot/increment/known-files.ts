import type { ListedFile } from '@stillpoint/shared/manifest';
import type { ScannedEntry } from '../entry.ts';
import { StampTable, tableMemory } from '../precopy/stamp-table.ts';
import { LinesByPlace } from './lines-by-place.ts';
import type { ParentDbroot } from './parent-dbroot.ts';
import { parentFiles } from './parent-files.ts';

/**
 * What is known of a file by its stamps alone. `read` stands for one that may be the same: the same size and time, and another place on disk, as after a
 * restore, or stamps that prove nothing.
 */
export interface Verdict {
  readonly kind: 'same' | 'read' | 'changed';
  /** Of the file that it is compared with; undefined when it is changed, or new. */
  readonly number: number | undefined;
}

const CHANGED: Verdict = { kind: 'changed', number: undefined };

/** Nobody looks at a table for a while: all of it counts. */
const ALWAYS = 0;

/**
 * The files of a parent's list, found by their paths: lines on disk, and some 80 bytes of memory each, as there may be a million. Stamps that do not prove
 * that a file is the same are left out.
 */
export class KnownFiles {
  readonly #lines: LinesByPlace;
  readonly #table: StampTable;
  readonly #at: Float64Array;
  readonly #bytes: Uint32Array;
  readonly #shards: Uint32Array;
  readonly #sizes: Float64Array;
  #count = 0;

  private constructor(lines: LinesByPlace, files: number) {
    this.#lines = lines;
    this.#table = new StampTable(tableMemory(files));
    this.#at = new Float64Array(files);
    this.#bytes = new Uint32Array(files);
    this.#shards = new Uint32Array(files);
    this.#sizes = new Float64Array(files);
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
    const line = this.#table.lineOf(path, ALWAYS);
    return line === 0 ? undefined : line - 1;
  }

  /** Compares a file with the one that the parent has. */
  verdictOf(entry: ScannedEntry): Verdict {
    if (this.#table.isSame(entry, ALWAYS)) return { kind: 'same', number: this.numberOf(entry.path) };
    const like = this.#table.lineLike(entry);
    return like === 0 ? CHANGED : { kind: 'read', number: like - 1 };
  }

  file(number: number): ListedFile {
    return JSON.parse(this.#lineOf(number)) as ListedFile;
  }

  /** Which archive of the parent's a file lies in, and its size. */
  placeOf(number: number): Pick<ListedFile, 'shard' | 'size'> {
    return { shard: this.#shards[number] ?? 0, size: this.#sizes[number] ?? 0 };
  }

  /** The line of a file, without its end, where its archive has another number. */
  lineIn(shard: number, number: number): string {
    const line = this.#lineOf(number);
    // In a name, the quotes would be escaped.
    const at = line.lastIndexOf(SHARD_KEY) + SHARD_KEY.length;
    return `${line.slice(0, at)}${shard}${line.slice(line.indexOf(',', at))}`;
  }

  /** Its content is that of a file that looks otherwise now. Throws the system's error. */
  renew(number: number, file: ListedFile): void {
    this.#keep(number, file);
  }

  /** Repeatable. Throws the system's error. */
  remove(): void {
    this.#lines.remove();
  }

  #add(file: ListedFile): void {
    const number = this.#count++;
    this.#shards[number] = file.shard;
    this.#sizes[number] = file.size;
    this.#keep(number, file);
  }

  #keep(number: number, file: ListedFile): void {
    const { at, bytes } = this.#lines.add(JSON.stringify(file));
    this.#at[number] = at;
    this.#bytes[number] = bytes;
    this.#table.recordListed(file, number + 1);
  }

  #lineOf(number: number): string {
    return this.#lines.read({ at: this.#at[number] ?? 0, bytes: this.#bytes[number] ?? 0 });
  }
}

const SHARD_KEY = ',"shard":';
