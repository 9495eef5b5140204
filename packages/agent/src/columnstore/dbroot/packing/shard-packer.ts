import { join } from 'node:path';
import type { StoredFile } from '../../../archive/stored.ts';
import { ArchiveWriter, type FilePlace, type FileToAdd } from '../../../archive/write.ts';
import { type ScannedEntry, stampOf } from '../entry.ts';
import { encodedFileLine, headerOf, type NamedEntry } from '../named.ts';
import { FileReader, readAtRest, readInto } from '../read-file.ts';
import type { ShardToPack } from './orders.ts';

/** On a thread: one shard, into which files are read. All throws are ThreadFailures or errors of the system. */
export class ShardPacker {
  readonly #shard: ShardToPack;
  readonly #archive: ArchiveWriter;
  readonly #onBytes: (bytes: number) => void;

  /** Begins it in a new file. `onBytes` gets the bytes of files that were read, as they come. */
  constructor(shard: ShardToPack, onBytes: (bytes: number) => void) {
    this.#shard = shard;
    this.#onBytes = onBytes;
    this.#archive = new ArchiveWriter(shard.path, shard.level, shard.key);
  }

  /** Puts files that are small, or of no known size, into one frame. Gives their lines of the list. */
  addTogether(entries: readonly NamedEntry[]): Uint8Array {
    const files = entries.map((entry) => (this.#shard.restless.has(entry.path) ? this.#restless(entry) : this.#small(entry)));
    const places = this.#archive.addTogether(files.map(({ toAdd }) => toAdd));
    this.#onBytes(files.reduce((sum, { toAdd }) => sum + toAdd.entry.size, 0));
    return Buffer.from(files.map(({ entry, sha256 }, index) => this.#line(entry, sha256(), places[index])).join(''));
  }

  /** Puts a large file into frames of its own. Gives its line of the list. */
  addAlone(entry: NamedEntry): Uint8Array {
    const file = new FileReader(this.#path(entry), this.#comparison(entry));
    try {
      const fill = (into: Buffer): void => {
        file.read(into);
        this.#onBytes(into.length);
      };
      const place = this.#archive.addAlone({ entry: headerOf(entry), fill });
      return Buffer.from(this.#line(entry, file.end(), place));
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

  #path({ path }: ScannedEntry): string {
    return join(this.#shard.root, path);
  }

  /** The stamps of a copy are its own. */
  #comparison(entry: ScannedEntry): (now: ScannedEntry) => boolean {
    return this.#shard.isCopy ? ({ size }) => size === entry.size : (now) => stampOf(now) === stampOf(entry);
  }

  #small(entry: NamedEntry): Small {
    let sha256 = '';
    const fill = (into: Buffer): void => {
      sha256 = readInto(this.#path(entry), into);
    };
    return { entry, toAdd: { entry: headerOf(entry), fill }, sha256: () => sha256 };
  }

  /** Its size is not known before it is read. */
  #restless(entry: NamedEntry): Small {
    const { entry: now, content, sha256 } = readAtRest(this.#path(entry), entry);
    const read = { ...entry, size: content.length, ...(this.#shard.isCopy ? {} : { mode: now.mode, mtimeNs: now.mtimeNs }) };
    return { entry: read, toAdd: { entry: headerOf(read), fill: (into) => void content.copy(into) }, sha256: () => sha256 };
  }

  #line(entry: NamedEntry, sha256: string, place: FilePlace | undefined): string {
    if (place === undefined) throw new Error('a file of a frame has no place in it');
    return encodedFileLine(entry, sha256, { shard: this.#shard.index, ...place });
  }
}

interface Small {
  readonly entry: NamedEntry;
  readonly toAdd: FileToAdd;
  /** Known once it was added. */
  readonly sha256: () => string;
}
