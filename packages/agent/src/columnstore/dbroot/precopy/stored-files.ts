import { StillpointError } from '@stillpoint/shared/errors';
import type { ListedFile } from '@stillpoint/shared/manifest';
import type { FileKey } from '../../../encryption/file-key.ts';
import type { ScannedEntry } from '../entry.ts';
import { LinesFile } from '../lines-file.ts';
import type { FileToTake } from '../scanning/orders.ts';
import type { BasisPlace, FilledFile, ReadableBasis } from './orders.ts';
import { StampTable, type TableMemory, tableMemory } from './stamp-table.ts';

/** What of a dbroot lies in shards already: lines of the list on disk, by number, and the stamps for which they are good. */
export class StoredFiles {
  readonly #lines: LinesFile;
  readonly #bases = new Map<string, BasisPlace>();
  /** Of shards that this process has encrypted. Secrets: they go nowhere but into its memory. */
  readonly #keys = new Map<string, FileKey>();
  #table = new StampTable(tableMemory(0));
  #last = 0;

  private constructor(lines: LinesFile) {
    this.#lines = lines;
  }

  /** Keeps the lines in a new file. Throws the system's error. */
  static async create(path: string): Promise<StoredFiles> {
    return new StoredFiles(await LinesFile.create(path));
  }

  /** For threads that compare. */
  get stamps(): TableMemory {
    return this.#table.memory;
  }

  /** To be called before so many files are added. */
  makeRoom(files: number): void {
    this.#table = this.#table.withRoomFor(files);
  }

  /** Notes files that were packed, in the place of what was known of them. Throws DISK_FULL or the system's error. */
  async add(files: readonly FilledFile[]): Promise<void> {
    for (const { stamp, line, isSure, basis } of files) {
      if (line !== undefined) {
        this.#last += 1;
        await this.#lines.add(line);
      }
      this.#table.record(stamp, isSure ? this.#last : 0);
      if (basis === undefined) this.#bases.delete(stamp.path);
      else this.#bases.set(stamp.path, basis);
    }
  }

  /** Keeps what opens a shard, for as long as its blocks may be needed. */
  keepKey(shard: string, key: FileKey): void {
    this.#keys.set(shard, key);
  }

  /** A file whose content must be taken, with what there is of it. */
  toTake(entry: ScannedEntry): FileToTake {
    const basis = this.basisOf(entry.path);
    return basis === undefined ? { entry } : { entry, basis: { digests: basis.digests, first: basis.first } };
  }

  /** Where the blocks of a file lie that `toTake` gave a basis for. Undefined, too, when they lie in a shard that cannot be opened. */
  basisOf(path: string): ReadableBasis | undefined {
    const basis = this.#bases.get(path);
    if (basis === undefined) return undefined;
    const key = this.#keys.get(basis.shard);
    return basis.isSealed && key === undefined ? undefined : { ...basis, key };
  }

  /** The content of a file lies elsewhere from now on. */
  forget(path: string): void {
    this.#table.forget(path);
  }

  /** Lines, with their ends, of the files that a look has seen with the stamp for which they are good, in the order in which they were added. */
  async *good(seen: number): AsyncGenerator<{ readonly line: string; readonly bytes: number }> {
    await this.#lines.flush();
    let number = 0;
    for await (const line of this.#lines.lines()) {
      number += 1;
      const { path, size } = JSON.parse(line) as ListedFile;
      if (this.#table.lineOf(path, seen) === number) yield { line: `${line}\n`, bytes: size };
    }
    if (number !== this.#last)
      throw new StillpointError('CAPTURE_FAILED', `${this.#lines.path} has ${number} lines instead of ${this.#last}`);
  }

  /** Repeatable. Throws the system's error. */
  remove(): Promise<void> {
    this.#keys.clear();
    return this.#lines.remove();
  }
}
