import { type StoredFile, StoredFileWriter } from './stored-file.ts';
import { BLOCK, END_OF_ARCHIVE_BYTES, paddingOf, type TarEntry } from './tar/blocks.ts';
import { encodeHeader } from './tar/encode.ts';
import { FrameCompressor, PIECE_BYTES } from './zstd.ts';

/** Where a file lies in a shard; see ListedFile. */
export interface FilePlace {
  readonly frame: number;
  readonly frameBytes: number;
  readonly at: number;
}

const ZEROS = Buffer.alloc(BLOCK);
/** Headers that are given to zstd at once. */
const TOGETHER = 512;

/** A shard that is written, frame by frame. One call at a time. */
export class ArchiveWriter {
  readonly #stored: StoredFileWriter;
  readonly #frames: FrameCompressor;

  private constructor(stored: StoredFileWriter, level: number) {
    this.#stored = stored;
    this.#frames = new FrameCompressor(level);
  }

  /** Begins a shard in a new file. Throws DISK_FULL or the system's error. */
  static async create(path: string, level: number): Promise<ArchiveWriter> {
    return new ArchiveWriter(await StoredFileWriter.create(path), level);
  }

  /** Bytes as stored, so far. */
  get storedBytes(): number {
    return this.#stored.bytes;
  }

  /** Puts files that are in memory into one frame. Gives their places, in the same order. Throws DISK_FULL or the system's error. */
  async addTogether(files: readonly { readonly entry: TarEntry; readonly content: Buffer }[]): Promise<FilePlace[]> {
    const parts: Buffer[] = [];
    const starts: number[] = [];
    let length = 0;
    for (const { entry, content } of files) {
      const header = encodeHeader(entry);
      const padding = ZEROS.subarray(0, paddingOf(content.length));
      starts.push(length + header.length);
      parts.push(header, content, padding);
      length += header.length + content.length + padding.length;
    }
    const { frame, frameBytes } = await this.#addFrame([Buffer.concat(parts, length)]);
    return starts.map((at) => ({ frame, frameBytes, at }));
  }

  /**
   * Makes a frame of one file. `content` must give exactly the size that `entry` says, or throw; a piece of it is done with when the next one is
   * asked for. Throws what it throws, DISK_FULL, or the system's error.
   */
  async addAlone(entry: TarEntry, content: AsyncIterable<Uint8Array>): Promise<FilePlace> {
    const header = encodeHeader(entry);
    const padding = ZEROS.subarray(0, paddingOf(entry.size));
    const raw = async function* (): AsyncGenerator<Uint8Array> {
      yield header;
      yield* content;
      yield padding;
    };
    return { ...(await this.#addFrame(raw())), at: header.length };
  }

  /** Ends the archive with what has no content: directories and links. Throws what `entries` throws, DISK_FULL, or the system's error. */
  async end(entries: AsyncIterable<TarEntry>): Promise<StoredFile> {
    const raw = async function* (): AsyncGenerator<Uint8Array> {
      let headers: Buffer[] = [];
      for await (const entry of entries) {
        headers.push(encodeHeader(entry));
        if (headers.length < TOGETHER) continue;
        yield Buffer.concat(headers);
        headers = [];
      }
      yield Buffer.concat([...headers, Buffer.alloc(END_OF_ARCHIVE_BYTES)]);
    };
    await this.#addFrame(raw());
    this.#frames.close();
    return this.#stored.end();
  }

  /** Gives the file up. Repeatable. */
  close(): Promise<void> {
    this.#frames.close();
    return this.#stored.close();
  }

  async #addFrame(raw: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<Omit<FilePlace, 'at'>> {
    const frame = this.#stored.bytes;
    for await (const bytes of raw) {
      for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
        await this.#stored.write(await this.#frames.add(bytes.subarray(at, at + PIECE_BYTES)));
      }
    }
    await this.#stored.write(await this.#frames.end());
    return { frame, frameBytes: this.#stored.bytes - frame };
  }
}
