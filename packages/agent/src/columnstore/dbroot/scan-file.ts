import { comparePaths, type ScannedEntry, stampOf } from './entry.ts';
import { moved } from './failure.ts';
import { entryOfLine, lineOf } from './line.ts';
import { LinesFile } from './lines-file.ts';

/** What a scan has found in all. */
export interface ScanTotals {
  readonly files: number;
  readonly directories: number;
  /** Of the files. */
  readonly bytes: number;
}

/** A scan, kept on disk: a dbroot may hold more than fits into memory. */
export interface KeptScan {
  readonly totals: ScanTotals;
  /** All of it, in its order. Throws the system's error. */
  all(): AsyncGenerator<ScannedEntry>;
  /** Its directories and links alone. */
  plain(): AsyncGenerator<ScannedEntry>;
  remove(): Promise<void>;
}

/** Keeps a scan in files that begin with `path`. Throws what the scan throws, DISK_FULL, or the system's error. */
export async function keepScan(path: string, entries: AsyncIterable<ScannedEntry>): Promise<KeptScan> {
  const totals = { files: 0, directories: 0, bytes: 0 };
  const [all, plain] = [await LinesFile.create(`${path}.all`), await LinesFile.create(`${path}.plain`)];
  try {
    for await (const entry of entries) {
      const line = lineOf(entry);
      if (entry.type === 'file') totals.files += 1;
      else await plain.add(line);
      if (entry.type === 'directory') totals.directories += 1;
      totals.bytes += entry.size;
      await all.add(line);
    }
    await Promise.all([all.flush(), plain.flush()]);
  } finally {
    await Promise.all([all.close(), plain.close()]);
  }
  return keptScan(totals, all, plain);
}

/** A scan that is on disk. */
export const keptScan = (totals: ScanTotals, all: LinesFile, plain: LinesFile): KeptScan => ({
  totals,
  all: () => entriesOf(all),
  plain: () => entriesOf(plain),
  remove: async () => {
    await Promise.all([all.remove(), plain.remove()]);
  },
});

async function* entriesOf(file: LinesFile): AsyncGenerator<ScannedEntry> {
  for await (const line of file.lines()) yield entryOfLine(line);
}

/**
 * Compares a scan with a later one. Throws CAPTURE_MOVED for the first thing that vanished, appeared or changed; of `restless` files only for
 * the first two. `nameOf` gives the full path of one.
 */
export async function requireUnmoved(
  before: AsyncIterable<ScannedEntry>,
  after: AsyncIterable<ScannedEntry>,
  restless: ReadonlySet<string>,
  nameOf: (path: string) => string,
): Promise<void> {
  const later = after[Symbol.asyncIterator]();
  try {
    for await (const entry of before) {
      const { value: now, done } = await later.next();
      const order = done ? -1 : comparePaths(entry.path, now.path);
      if (order < 0) throw moved(nameOf(entry.path), 'vanished');
      if (order > 0) throw moved(nameOf(now.path), 'appeared');
      if (stampOf(entry) !== stampOf(now) && !restless.has(entry.path)) throw moved(nameOf(entry.path), 'changed');
    }
    const { value: more, done } = await later.next();
    if (!done) throw moved(nameOf(more.path), 'appeared');
  } finally {
    await later.return?.();
  }
}
