import { createReadStream } from 'node:fs';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { StringDecoder } from 'node:string_decoder';
import { errnoOf, StillpointError } from '@stillpoint/shared/errors';
import { isFullCode } from '../../archive/stored.ts';

/** Characters kept until they are written. */
const TOGETHER = 128 * 1024;

/** Lines on disk: a dbroot may hold more than fits into memory. They lie there in the order in which they were added. */
export class LinesFile {
  readonly path: string;
  readonly #file: FileHandle;
  #waiting: string[] = [];
  #length = 0;
  #turn: Promise<void> = Promise.resolve();

  private constructor(path: string, file: FileHandle) {
    this.path = path;
    this.#file = file;
  }

  /** Makes it. Throws the system's error, also when it is there. */
  static async create(path: string): Promise<LinesFile> {
    return new LinesFile(path, await open(path, 'wx', 0o600));
  }

  /** Opens one of an earlier life, to go on behind so many bytes of it, which are there. Throws the system's error. */
  static async reopen(path: string, bytes: number): Promise<LinesFile> {
    const file = await open(path, 'a', 0o600);
    await file.truncate(bytes);
    return new LinesFile(path, file);
  }

  /** Adds lines, with their ends, at some time until `flush`. Throws DISK_FULL or the system's error. */
  async add(lines: string): Promise<void> {
    this.#waiting.push(lines);
    this.#length += lines.length;
    if (this.#length >= TOGETHER) await this.flush();
  }

  /** Adds lines as they are on disk, behind all that was added before. Throws DISK_FULL or the system's error. */
  addBytes(lines: Uint8Array): Promise<void> {
    void this.flush();
    return this.#write(lines);
  }

  /** Throws DISK_FULL or the system's error. */
  flush(): Promise<void> {
    const lines = this.#waiting.splice(0).join('');
    this.#length = 0;
    return lines === '' ? this.#turn : this.#write(lines);
  }

  /** Closes it; it can be read all the same. Repeatable. */
  close(): Promise<void> {
    return this.#file.close();
  }

  /** All lines that were flushed, without their ends. Throws the system's error. */
  async *lines(): AsyncGenerator<string> {
    const decoder = new StringDecoder('utf8');
    let rest = '';
    for await (const piece of createReadStream(this.path)) {
      const lines = `${rest}${decoder.write(piece as Buffer)}`.split('\n');
      rest = lines.pop() ?? '';
      yield* lines;
    }
  }

  /** Closes and removes it. Repeatable. Throws the system's error. */
  async remove(): Promise<void> {
    await this.close();
    await rm(this.path, { force: true });
  }

  #write(data: string | Uint8Array): Promise<void> {
    this.#turn = this.#turn.then(() => this.#writeNow(data));
    return this.#turn;
  }

  async #writeNow(data: string | Uint8Array): Promise<void> {
    try {
      await this.#file.writeFile(data);
    } catch (error) {
      if (!isFullCode(errnoOf(error))) throw error;
      throw new StillpointError('DISK_FULL', `No space is left on the file system of ${this.path}`, { cause: error });
    }
  }
}
