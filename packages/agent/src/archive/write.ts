import type { FileKey } from '../encryption/file-key.ts';
import { BlockCompressor } from './compress.ts';
import type { StoredFile } from './stored.ts';
import { StoredFileSync } from './stored-file-sync.ts';
import { END_OF_ARCHIVE_BYTES, paddingOf, type TarEntry } from './tar/blocks.ts';
import { encodeHeader } from './tar/encode.ts';

/** Where a file lies in a shard, before it is encrypted; see ListedFile. */
export interface FilePlace {
  readonly frame: number;
  readonly frameBytes: number;
  readonly at: number;
}

/** A file, and what puts its content where the archive wants to have it: once for all of it if it is small, else piece by piece. */
export interface FileToAdd {
  readonly entry: TarEntry;
  /** Fills all of the buffer with the next bytes, or throws. */
  readonly fill: (into: Buffer) => void;
}

/** Bytes of an archive that are compressed as one: they stay in the processor's cache between reading, hashing and compressing. */
export const BLOCK_BYTES = 1024 * 1024;

/**
 * A shard that is written, frame by frame, in the thread that calls: it compresses, hashes and waits for the disk. What the calls throw is what
 * `fill` throws, a ThreadFailure of DISK_FULL, or the system's error.
 */
export class ArchiveWriter {
  readonly #stored: StoredFileSync;
  readonly #compressor: BlockCompressor;
  /** Used again and again: what is compressed next. */
  #raw = Buffer.allocUnsafeSlow(BLOCK_BYTES);

  /** Begins a shard in a new file, with a level of zstd, and encrypted if there is a key for that. */
  constructor(path: string, level: number, key?: FileKey) {
    this.#compressor = new BlockCompressor(level);
    this.#stored = new StoredFileSync(path, key);
  }

  /** Puts files that fit into memory together into one frame. Gives their places, in the same order. */
  addTogether(files: readonly FileToAdd[]): FilePlace[] {
    const headers = files.map(({ entry }) => encodeHeader(entry));
    const length = files.reduce((sum, { entry: { size } }, index) => sum + (headers[index]?.length ?? 0) + size + paddingOf(size), 0);
    const raw = this.#room(length);
    const starts: number[] = [];
    let end = 0;
    for (const [index, { entry, fill }] of files.entries()) {
      const at = end + (headers[index]?.copy(raw, end) ?? 0);
      fill(raw.subarray(at, at + entry.size));
      end = at + entry.size + paddingOf(entry.size);
      raw.fill(0, at + entry.size, end);
      starts.push(at);
    }
    const frame = this.#stored.position;
    this.#store(raw.subarray(0, length));
    return starts.map((at) => ({ frame, frameBytes: this.#stored.position - frame, at }));
  }

  /** Puts one file, however large, into a row of frames of its own. */
  addAlone({ entry, fill }: FileToAdd): FilePlace {
    const frame = this.#stored.position;
    const header = encodeHeader(entry);
    let used = header.copy(this.#raw);
    for (let left = entry.size; left > 0; ) {
      const count = Math.min(left, BLOCK_BYTES - used);
      fill(this.#raw.subarray(used, used + count));
      used += count;
      left -= count;
      if (used < BLOCK_BYTES) continue;
      this.#store(this.#raw.subarray(0, used));
      used = 0;
    }
    const padding = paddingOf(entry.size);
    this.#raw.fill(0, used, used + padding);
    if (used + padding > 0) this.#store(this.#raw.subarray(0, used + padding));
    return { frame, frameBytes: this.#stored.position - frame, at: header.length };
  }

  /** Adds what has no content: directories and links. No file must follow. */
  addPlain(entries: readonly TarEntry[]): void {
    if (entries.length > 0) this.#store(Buffer.concat(entries.map(encodeHeader)));
  }

  /** Ends the archive, and closes the file. */
  end(): StoredFile {
    this.#store(Buffer.alloc(END_OF_ARCHIVE_BYTES));
    return this.#stored.end();
  }

  /** Gives the file up. Repeatable. */
  close(): void {
    this.#stored.close();
  }

  #room(bytes: number): Buffer {
    if (this.#raw.length < bytes) this.#raw = Buffer.allocUnsafeSlow(bytes);
    return this.#raw;
  }

  #store(raw: Buffer): void {
    this.#compressor.compress(raw, (piece) => this.#stored.write(piece));
  }
}
