import { createHash } from 'node:crypto';
import { StillpointError } from '@stillpoint/shared/errors';
import { encodeEntry, type ListedFile } from '@stillpoint/shared/manifest';
import type { FileKey } from '../../../encryption/file-key.ts';
import type { PrecopiedRecord } from '../../../precopied/index.ts';
import type { ScannedEntry } from '../entry.ts';
import { LinesFile } from '../lines-file.ts';
import type { FileToTake } from '../scanning/orders.ts';
import { type Attributes, AttributesByNumber } from './attributes.ts';
import { archiveOf, isBorrowed } from './borrowed-lines.ts';
import { NumbersByNumber } from './numbers.ts';
import type { BasisPlace, FilledFile, ReadableBasis } from './orders.ts';
import { type FileStamp, StampTable, type TableMemory, tableMemory } from './stamp-table.ts';

/** What of a dbroot lies in shards already: lines of the list on disk, by number, and the stamps for which they are good. */
export class StoredFiles {
  readonly #lines: LinesFile;
  readonly #bases = new Map<string, BasisPlace>();
  /** Of shards that this process has encrypted. Secrets: they go nowhere but into its memory. */
  readonly #keys = new Map<string, FileKey>();
  /** Of files that were renewed, by their lines. */
  readonly #attributes = new AttributesByNumber();
  /** Of files of the parent's, by their lines. */
  readonly #archives = new NumbersByNumber();
  #table = new StampTable(tableMemory(0));
  readonly #hash = createHash('sha256');
  #last = 0;
  #bytes = 0;

  private constructor(lines: LinesFile) {
    this.#lines = lines;
  }

  /** Keeps the lines in a new file. Throws the system's error. */
  static async create(path: string): Promise<StoredFiles> {
    return new StoredFiles(await LinesFile.create(path));
  }

  /**
   * Goes on with lines of an earlier life, which are what they were as far as they are good. What was known of files beyond that is not: one whose stamp was
   * renewed is seen to differ. Throws the system's error.
   */
  static async resume(path: string, { bytes, count }: PrecopiedRecord['lines']): Promise<StoredFiles> {
    const files = new StoredFiles(await LinesFile.reopen(path, bytes));
    files.makeRoom(count);
    for await (const line of files.#lines.lines()) {
      files.#know(JSON.parse(line) as ListedFile, files.#count(`${line}\n`));
    }
    return files;
  }

  /** How much of the lines is good now, all of it written out. Throws DISK_FULL or the system's error. */
  async written(): Promise<PrecopiedRecord['lines']> {
    await this.#lines.flush();
    return { count: this.#last, bytes: this.#bytes, sha256: this.#hash.copy().digest('hex') };
  }

  /** For threads that compare. */
  get stamps(): TableMemory {
    return this.#table.memory;
  }

  /** To be called before so many files are added. */
  makeRoom(files: number): void {
    this.#table = this.#table.withRoomFor(files);
  }

  /**
   * Notes files that lie in shards already, and whose number is at most `files`, in the place of what was known of them. Those without a stamp are known
   * by size and time alone: they are in no image unless they are renewed. Files of one shard come in the order in which they lie in it. Throws what gives
   * the files, DISK_FULL or the system's error.
   */
  async seed(before: AsyncIterable<ListedFile>, files: number): Promise<void> {
    this.makeRoom(files);
    for await (const file of before) {
      this.#know(file, await this.#addLine(encodeEntry(file)));
    }
    await this.#lines.flush();
  }

  /** Number of the line of a file that may be this one with another stamp: the same size and time, which a restore rounds. 0 for none. */
  lineLike(entry: ScannedEntry): number {
    return this.#table.lineLike(entry);
  }

  /** How many lines there are; they are numbered from 1. */
  get lines(): number {
    return this.#last;
  }

  /** Lines whose mark is not 0, by number. Those that are added meanwhile are not among them. Throws the system's error. */
  async *marked(marks: Uint8Array): AsyncGenerator<{ readonly number: number; readonly file: ListedFile }> {
    await this.#lines.flush();
    let number = 0;
    for await (const line of this.#lines.lines()) {
      number += 1;
      if (number >= marks.length) return;
      if (marks[number] !== 0) yield { number, file: JSON.parse(line) as ListedFile };
    }
  }

  /** The file of a line has another stamp now, and these attributes: its content is the same. */
  renew(number: number, stamp: FileStamp, attributes: Attributes): void {
    this.#table.record(stamp, number);
    this.#attributes.set(number, attributes);
  }

  /** Notes files that were packed, in the place of what was known of them. Throws DISK_FULL or the system's error. */
  async add(files: readonly FilledFile[]): Promise<void> {
    for (const { stamp, line, isSure, basis } of files) {
      // What is not sure is known by its stamp alone. Whoever goes on with the lines could not tell.
      this.#table.record(stamp, line !== undefined && isSure ? await this.#addLine(line) : 0);
      if (basis === undefined) this.#bases.delete(stamp.path);
      else this.#bases.set(stamp.path, basis);
    }
  }

  /** Another one in its place, in which nothing is known. Throws the system's error. */
  async anew(): Promise<StoredFiles> {
    await this.remove();
    return StoredFiles.create(this.#lines.path);
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

  /** Lines, without their ends, of the files that a look has seen with the stamp for which they are good, in the order in which they were added. */
  async *good(seen: number): AsyncGenerator<{ readonly line: string; readonly file: ListedFile }> {
    await this.#lines.flush();
    let number = 0;
    for await (const line of this.#lines.lines()) {
      number += 1;
      const file = JSON.parse(line) as ListedFile;
      if (this.#table.lineOf(file.path, seen) !== number) continue;
      const renewed = this.#renewed(number, file);
      yield renewed === undefined ? { line, file } : { line: JSON.stringify(renewed), file: renewed };
    }
    if (number !== this.#last)
      throw new StillpointError('CAPTURE_FAILED', `${this.#lines.path} has ${number} lines instead of ${this.#last}`);
  }

  /** Calls `use` for each of these files that is the parent's, with its archive. No line is read for that. */
  eachBorrowed(seen: number, use: (archive: number, bytes: number) => void): void {
    this.#table.eachSeen(seen, (line, bytes) => {
      const archive = this.#archives.get(line);
      if (archive !== undefined) use(archive, bytes);
    });
  }

  /** Repeatable. Throws the system's error. */
  remove(): Promise<void> {
    this.#keys.clear();
    return this.#lines.remove();
  }

  /** Leaves the lines where they are. Repeatable. Throws the system's error. */
  close(): Promise<void> {
    this.#keys.clear();
    return this.#lines.close();
  }

  #renewed(number: number, file: ListedFile): ListedFile | undefined {
    const attributes = this.#attributes.get(number);
    return attributes && { ...file, ...this.#table.stampOf(file.path), ...attributes };
  }

  /** Gives its number: others may have been added by the time it is written. */
  async #addLine(line: string): Promise<number> {
    const number = this.#count(line);
    await this.#lines.add(line);
    return number;
  }

  #count(line: string): number {
    this.#last += 1;
    this.#bytes += Buffer.byteLength(line);
    this.#hash.update(line);
    return this.#last;
  }

  /** The file of a line has the stamp that the line says, if it says one. */
  #know(file: ListedFile, number: number): void {
    if (isBorrowed(file)) this.#archives.set(number, archiveOf(file));
    this.#table.recordListed(file, number);
  }
}
