import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { errnoOf, StillpointError } from '@stillpoint/shared/errors';
import { type FileKey, Sealer } from '../encryption/index.ts';
import { FILE_MODE, fullText, isFullCode, type StoredFile } from './stored.ts';

/**
 * A new file that is hashed while it is written, and encrypted if there is a key for that. It is not yet safe from a power cut: that takes long and must not be waited for while
 * writers are.
 */
export class StoredFileWriter {
  /** Written so far. */
  bytes = 0;
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #hash = createHash('sha256');
  readonly #sealer: Sealer | undefined;

  private constructor(path: string, file: FileHandle, key: FileKey | undefined) {
    this.#path = path;
    this.#file = file;
    this.#sealer = key === undefined ? undefined : new Sealer(key);
  }

  /** Makes the file. Throws DISK_FULL or the system's error, also when it is there already. */
  static async create(path: string, key?: FileKey): Promise<StoredFileWriter> {
    const file = await open(path, 'wx', FILE_MODE).catch((error: unknown) => {
      throw isFull(error) ? diskFull(path, 0, error) : error;
    });
    return new StoredFileWriter(path, file, key);
  }

  /** Throws DISK_FULL or the system's error. */
  async write(data: Uint8Array): Promise<void> {
    await this.#store(this.#sealer?.update(data) ?? data);
  }

  async #store(data: Uint8Array): Promise<void> {
    if (data.length === 0) return;
    this.#hash.update(data);
    try {
      await this.#file.writeFile(data);
    } catch (error) {
      throw isFull(error) ? diskFull(this.#path, this.bytes, error) : error;
    }
    this.bytes += data.length;
  }

  /** Closes it. Throws as `write` does. */
  async end(): Promise<StoredFile> {
    if (this.#sealer !== undefined) await this.#store(this.#sealer.final());
    await this.close();
    return { bytes: this.bytes, sha256: this.#hash.digest('hex') };
  }

  /** Closes it without a word on what is in it. Repeatable. */
  async close(): Promise<void> {
    await this.#file.close();
  }
}

const isFull = (error: unknown): boolean => isFullCode(errnoOf(error));

const diskFull = (path: string, bytes: number, cause: unknown): StillpointError =>
  new StillpointError('DISK_FULL', fullText(path, bytes), { cause });
