import { join } from 'node:path';
import type { ListedFile } from '@stillpoint/shared/manifest';
import { giveBack } from '../../../archive/give-back.ts';
import type { ScannedEntry } from '../entry.ts';
import { readFailure } from '../failure.ts';
import { commonOf, nameOwners, stampsOf } from '../named.ts';
import { createOwners } from '../owners.ts';
import { type Borrowed, Borrowing } from './borrowing.ts';
import { digestOf } from './digest-of.ts';
import { KnownFiles } from './known-files.ts';
import type { ParentDbroot } from './parent-dbroot.ts';
import { surely } from './parent-files.ts';

/** What is compared with the parent, and how. */
export interface Comparison {
  /** Directory in which the entries lie, or clones of them. */
  readonly root: string;
  /** Everything that was found. */
  readonly entries: AsyncIterable<ScannedEntry>;
  /** When the look at them began. */
  readonly lookedAtMs: number;
  /** Files that are always stored; see rules.ts. */
  readonly restless: ReadonlySet<string>;
  /** Bytes of files that were read, as they come. */
  readonly onBytes: (bytes: number) => void;
  readonly signal: AbortSignal;
}

/** A scan that can be gone through again and again. */
interface Entries {
  readonly all: () => AsyncIterable<ScannedEntry>;
  readonly plain: () => AsyncIterable<ScannedEntry>;
}

/** Files that are read at the same time, to be compared. */
const READ_AT_ONCE = 4;
const LINES_TOGETHER = 256;

/** A dbroot of which only what is new or has changed since an earlier set is stored. */
export class Increment {
  readonly #parent: ParentDbroot;
  readonly #known: KnownFiles;
  readonly #owners = createOwners();
  /** By number: 1 for those that are there still, unchanged. */
  #same: Uint8Array;

  private constructor(parent: ParentDbroot, known: KnownFiles) {
    this.#parent = parent;
    this.#known = known;
    this.#same = new Uint8Array(known.count);
  }

  /** Reads what the parent has, into a new file. Throws what its list does, or the system's error. */
  static async of(parent: ParentDbroot, path: string, signal: AbortSignal): Promise<Increment> {
    return new Increment(parent, await KnownFiles.read(parent, path, signal));
  }

  /**
   * Finds out what is the same as in the parent; files of which stamps do not tell are read. What was found out before is kept as far as it helps: files that
   * were read need not be read again. Throws CAPTURE_FAILED or the system's error for what cannot be read, or the signal's reason.
   */
  async compare(comparison: Comparison): Promise<void> {
    this.#same = new Uint8Array(this.#known.count);
    const reading = new Set<Promise<void>>();
    try {
      for await (const entry of comparison.entries) {
        if (entry.type !== 'file' || comparison.restless.has(entry.path)) continue;
        const { kind, number } = this.#known.verdictOf(entry);
        if (number === undefined) continue;
        if (kind === 'same') this.#same[number] = 1;
        if (kind !== 'read') continue;
        if (reading.size >= READ_AT_ONCE) await Promise.race(reading);
        const work = this.#read(comparison, entry, number, this.#known.file(number)).finally(() => reading.delete(work));
        work.catch(() => undefined);
        reading.add(work);
      }
    } finally {
      await Promise.allSettled(reading);
    }
    await Promise.all(reading);
  }

  /** What has to be stored of a scan. */
  ofThose({ all, plain }: Entries): Entries {
    const changed = async function* (this: Increment): AsyncGenerator<ScannedEntry> {
      for await (const entry of all()) if (!this.#isSame(entry)) yield entry;
    };
    return { all: () => changed.call(this), plain };
  }

  /** Lines of the list for what need not be, when so many shards are stored besides; and from where they come. */
  borrowed(ownShards: number): { readonly lines: () => AsyncGenerator<Uint8Array>; readonly of: Borrowed | undefined } {
    const borrowing = new Borrowing(this.#parent);
    for (const number of this.#all()) {
      const { shard, size } = this.#known.placeOf(number);
      borrowing.add(shard, { size });
    }
    const places = borrowing.places(ownShards);
    return { lines: () => this.#lines(places), of: borrowing.all };
  }

  /** How many files of the parent are not there any more, or not as they were. */
  get superseded(): number {
    return this.#known.count - this.#same.reduce((sum, one) => sum + one, 0);
  }

  /** Repeatable. Throws the system's error. */
  remove(): void {
    this.#known.remove();
  }

  #isSame({ type, path }: ScannedEntry): boolean {
    const number = type === 'file' ? this.#known.numberOf(path) : undefined;
    return number !== undefined && this.#same[number] === 1;
  }

  /** Numbers of those that are the same. */
  *#all(): Generator<number> {
    for (let number = 0; number < this.#known.count; number += 1) if (this.#same[number] === 1) yield number;
  }

  async *#lines(places: ReadonlyMap<number, number>): AsyncGenerator<Uint8Array> {
    let some: string[] = [];
    for (const number of this.#all()) {
      some.push(`${this.#known.lineIn(places.get(this.#known.placeOf(number).shard) ?? 0, number)}\n`);
      if (some.length < LINES_TOGETHER) continue;
      yield* once(some);
      some = [];
    }
    yield* once(some);
  }

  async #read({ lookedAtMs, onBytes, root, signal }: Comparison, entry: ScannedEntry, number: number, known: ListedFile): Promise<void> {
    const path = join(root, entry.path);
    const sha256 = await digestOf(path, onBytes, signal).catch((error: unknown) => {
      signal.throwIfAborted();
      throw readFailure(path, error);
    });
    if (sha256 !== known.sha256) return;
    const named = await nameOwners(this.#owners, entry);
    this.#known.renew(number, surely({ ...known, ...commonOf(named), ...stampsOf(entry) }, lookedAtMs));
    this.#same[number] = 1;
  }
}

/** Lines as bytes, whose memory is given back when the next ones are asked for. */
function* once(lines: readonly string[]): Generator<Uint8Array> {
  const data = Buffer.from(lines.join(''));
  yield data;
  giveBack(data, data.length);
}
