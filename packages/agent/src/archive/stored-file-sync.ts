import { createHash } from 'node:crypto';
import { closeSync, openSync, writeSync } from 'node:fs';
import type { FileKey } from '../encryption/file-key.ts';
import { Sealer } from '../encryption/sealer.ts';
import { ThreadFailure } from '../thread/failure.ts';
import { takeTurn } from '../throttle/thread.ts';
import { FILE_MODE, fullText, isFullCode, type StoredFile } from './stored.ts';

/**
 * A new file that is hashed while it is written, on a thread that may wait for the disk, and encrypted if there is a key for that. Not yet safe
 * from a power cut, as StoredFileWriter.
 */
export class StoredFileSync {
  /** Given so far: of the content, whatever that has become on disk. */
  position = 0;
  #bytes = 0;
  readonly #path: string;
  readonly #sealer: Sealer | undefined;
  readonly #hash = createHash('sha256');
  #file: number | undefined;

  /** Makes the file. Throws DISK_FULL or the system's error, also when it is there already. */
  constructor(path: string, key?: FileKey) {
    this.#path = path;
    this.#sealer = key === undefined ? undefined : new Sealer(key);
    this.#file = this.#saying(() => openSync(path, 'wx', FILE_MODE));
  }

  /** Throws DISK_FULL or the system's error. */
  write(data: Uint8Array): void {
    this.position += data.length;
    this.#store(this.#sealer?.update(data) ?? data);
  }

  #store(data: Uint8Array): void {
    const file = this.#file;
    if (file === undefined) throw new Error(`${this.#path} is closed`);
    takeTurn(data.length);
    this.#hash.update(data);
    this.#saying(() => {
      for (let at = 0; at < data.length; ) {
        const count = writeSync(file, data, at, data.length - at);
        at += count;
        this.#bytes += count;
      }
    });
  }

  /** Closes it. Throws as `write` does. */
  end(): StoredFile {
    if (this.#sealer !== undefined) this.#store(this.#sealer.final());
    this.close();
    return { bytes: this.#bytes, sha256: this.#hash.digest('hex') };
  }

  /** Closes it without a word on what is in it. Repeatable. */
  close(): void {
    const file = this.#file;
    this.#file = undefined;
    if (file !== undefined) this.#saying(() => closeSync(file));
  }

  #saying<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (!isFullCode((error as NodeJS.ErrnoException).code)) throw error;
      throw new ThreadFailure({ code: 'DISK_FULL', message: fullText(this.#path, this.#bytes) });
    }
  }
}
