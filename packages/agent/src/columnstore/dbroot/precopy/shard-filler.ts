import { createHash } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import type { StoredFile } from '../../../archive/stored.ts';
import { ArchiveWriter, BLOCK_BYTES, type FilePlace, type FileToAdd } from '../../../archive/write.ts';
import { encodedFileLine, headerOf, type NamedEntry } from '../named.ts';
import { FLAGS, fill } from '../read-file.ts';
import { type BlockDigest, LARGE_BYTES } from './blocks.ts';
import { LiveFile } from './live-file.ts';
import type { BasisPlace, FilledFile, ShardToFill, TakenPlace } from './orders.ts';

/** Bytes of files in one frame: those of a unit are of one MiB, and a last one that is smaller, when they are found. */
const MOST_TOGETHER = 4 * 1024 * 1024;

/** On a thread: one shard of files that may be written while they are read, or were taken before. Throws ThreadFailures, or errors of the system. */
export class ShardFiller {
  readonly #shard: ShardToFill;
  readonly #archive: ArchiveWriter;
  readonly #digest: BlockDigest | undefined;
  readonly #onBytes: (bytes: number) => void;

  /** Begins it in a new file; without digests, large files that change are taken again as a whole. `onBytes` gets the bytes of files that were read, as they come. */
  constructor(shard: ShardToFill, digest: BlockDigest | undefined, onBytes: (bytes: number) => void) {
    this.#shard = shard;
    this.#digest = digest;
    this.#onBytes = onBytes;
    this.#archive = new ArchiveWriter(shard.path, shard.level, shard.key);
  }

  /** Puts small files into one frame, those that are still there. */
  addTogether(found: readonly NamedEntry[]): FilledFile[] {
    const files = this.#open(found);
    try {
      if (files.length === 0) return [];
      const places = this.#archive.addTogether(files.map((file) => this.#toAdd(file)));
      return files.map((file, index) => this.#filled(file, places[index], undefined));
    } finally {
      for (const file of files) file.close();
    }
  }

  /** Puts a large file into frames of its own, if it is still there. */
  addAlone(found: NamedEntry): FilledFile[] {
    const file = LiveFile.open(this.#shard.root, found);
    if (file === undefined) return [];
    try {
      const digests: Uint8Array[] = [];
      const digest = file.entry.size < LARGE_BYTES ? undefined : this.#digest;
      const { entry, fill: read } = this.#toAdd(file);
      const place = this.#archive.addAlone({
        entry,
        fill: (into) => {
          read(into);
          if (digest !== undefined) digests.push(digest(into));
        },
      });
      const { frame, frameBytes, at } = place;
      const { key, path: shard } = this.#shard;
      const where = { shard, isSealed: key !== undefined, frame, frameBytes, size: entry.size };
      const basis = { digests: Buffer.concat(digests), first: BLOCK_BYTES - at, ...where };
      return [this.#filled(file, place, digest === undefined ? undefined : basis)];
    } finally {
      file.close();
    }
  }

  /** Puts files that were taken, and are small, into one frame. */
  addTakenTogether(taken: readonly TakenPlace[]): FilledFile[] {
    const files = taken.map((each) => new TakenContent(each, this.#onBytes));
    try {
      const places = this.#archive.addTogether(files);
      return files.map((file, index) => this.#of(file.named, file.sha256(), places[index]));
    } finally {
      for (const file of files) file.close();
    }
  }

  /** Puts a large file that was taken into frames of its own. */
  addTakenAlone(taken: TakenPlace): FilledFile[] {
    const file = new TakenContent(taken, this.#onBytes);
    try {
      const place = this.#archive.addAlone(file);
      return [this.#of(file.named, file.sha256(), place)];
    } finally {
      file.close();
    }
  }

  /** Adds directories and links, once all files are in it. */
  addPlain(entries: readonly NamedEntry[]): void {
    this.#archive.addPlain(entries.map(headerOf));
  }

  end(): StoredFile {
    return this.#archive.end();
  }

  /** Those that are still there. What has grown meanwhile beyond what fits into a frame is left to the next pass. */
  #open(found: readonly NamedEntry[]): LiveFile[] {
    const files: LiveFile[] = [];
    let bytes = 0;
    for (const each of found) {
      const file = LiveFile.open(this.#shard.root, each);
      if (file === undefined) continue;
      if (bytes + file.entry.size > MOST_TOGETHER) {
        file.close();
        continue;
      }
      bytes += file.entry.size;
      files.push(file);
    }
    return files;
  }

  #toAdd(file: LiveFile): FileToAdd {
    const read = (into: Buffer): void => {
      file.read(into);
      this.#onBytes(into.length);
    };
    return { entry: headerOf(file.entry), fill: read };
  }

  #filled(file: LiveFile, place: FilePlace | undefined, basis: BasisPlace | undefined): FilledFile {
    const { entry, isSure, isTorn } = file;
    return { stamp: entry, line: isTorn ? undefined : this.#line(entry, file.sha256(), place), isSure: isSure && !isTorn, basis };
  }

  #of(entry: NamedEntry, sha256: string, place: FilePlace | undefined): FilledFile {
    return { stamp: entry, line: this.#line(entry, sha256, place), isSure: true, basis: undefined };
  }

  #line(entry: NamedEntry, sha256: string, place: FilePlace | undefined): string {
    if (place === undefined) throw new Error('a file of a frame has no place in it');
    return encodedFileLine(entry, sha256, { shard: this.#shard.index, ...place });
  }
}

/** A file that was taken, as an archive wants to have it. To be closed. */
class TakenContent implements FileToAdd {
  readonly named: NamedEntry;
  readonly entry: FileToAdd['entry'];
  readonly fill: FileToAdd['fill'];
  readonly #hash = createHash('sha256');
  readonly #file: number;

  constructor({ entry, file, at }: TakenPlace, onBytes: (bytes: number) => void) {
    this.named = entry;
    this.entry = headerOf(entry);
    this.#file = openSync(file, FLAGS);
    let position = at;
    this.fill = (into) => {
      if (fill(this.#file, into, position) < into.length) throw new Error(`${file} ends within what was taken of ${entry.path}`);
      position += into.length;
      this.#hash.update(into);
      onBytes(into.length);
    };
  }

  sha256(): string {
    return this.#hash.copy().digest('hex');
  }

  close(): void {
    closeSync(this.#file);
  }
}
