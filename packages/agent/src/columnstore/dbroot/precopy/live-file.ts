import { createHash, type Hash } from 'node:crypto';
import { closeSync, fstatSync, openSync } from 'node:fs';
import { ThreadFailure } from '../../../thread/failure.ts';
import { entryOf, type ScannedEntry } from '../entry.ts';
import { readFailureText } from '../failure-text.ts';
import type { NamedEntry } from '../named.ts';
import { FLAGS, fill } from '../read-file.ts';
import { isTooFresh } from './fresh.ts';

/** What it means that a file which may be gone cannot be opened: nothing, or an error. */
const GONE = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO']);

/** A file that is known by its path, and perhaps by whose it was. */
type FoundFile = Pick<ScannedEntry, 'path'> & Partial<Pick<ScannedEntry, 'uid' | 'gid'>>;

/** On a thread: a file that may be written while it is read. To be closed. */
export class LiveFile<Found extends FoundFile = NamedEntry> {
  /** As it was before a byte of it was read. */
  readonly entry: Found & ScannedEntry;
  /** False when it may be written without another stamp, or is not that of the owner who was found. */
  readonly isSure: boolean;
  /** True once it was shorter than it had been. */
  isTorn = false;
  readonly #path: string;
  readonly #file: number;
  readonly #hash: Hash = createHash('sha256');
  #position = 0;

  private constructor(path: string, file: number, found: Found) {
    const lookedAtMs = Date.now();
    const stats = fstatSync(file, { bigint: true });
    this.#path = path;
    this.#file = file;
    this.entry = { ...found, ...entryOf('file', found.path, stats) };
    const { uid, gid } = this.entry;
    const isSameOwner = uid === (found.uid ?? uid) && gid === (found.gid ?? gid);
    this.isSure = isSameOwner && !isTooFresh(stats.ctimeNs, lookedAtMs);
  }

  /** Opens it; undefined when no file is there any more. Throws CAPTURE_FAILED. */
  static open<Found extends FoundFile>(root: string, found: Found): LiveFile<Found> | undefined {
    const path = `${root}/${found.path}`;
    let file: number;
    try {
      file = openSync(path, FLAGS);
    } catch (error) {
      if (GONE.has((error as NodeJS.ErrnoException).code ?? '')) return undefined;
      throw failure(path, error);
    }
    if (fstatSync(file).isFile()) return new LiveFile(path, file, found);
    closeSync(file);
    return undefined;
  }

  /** Fills a buffer with the next bytes, and with zeros what is not there any more. Throws CAPTURE_FAILED. */
  read(into: Buffer): void {
    try {
      const bytes = fill(this.#file, into, this.#position);
      if (bytes < into.length) {
        this.isTorn = true;
        into.fill(0, bytes);
      }
    } catch (error) {
      throw failure(this.#path, error);
    }
    this.#position += into.length;
    this.#hash.update(into);
  }

  /** Digest of what was read. */
  sha256(): string {
    return this.#hash.copy().digest('hex');
  }

  close(): void {
    closeSync(this.#file);
  }
}

function failure(path: string, error: unknown): unknown {
  const text = readFailureText(path, error);
  return text === undefined ? error : new ThreadFailure(text);
}
