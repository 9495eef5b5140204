import { createReadStream } from 'node:fs';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { StringDecoder } from 'node:string_decoder';
import { errnoOf, StillpointError } from '@stillpoint/shared/errors';
import { comparePaths, type ScannedEntry, stampOf } from './entry.ts';
import { moved } from './failure.ts';

/** Lines written at once. */
const TOGETHER = 1024;

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
  const [all, plain] = [await LineFile.create(`${path}.all`), await LineFile.create(`${path}.plain`)];
  try {
    for await (const entry of entries) {
      if (entry.type === 'file') totals.files += 1;
      else await plain.write(entry);
      if (entry.type === 'directory') totals.directories += 1;
      totals.bytes += entry.size;
      await all.write(entry);
    }
    await Promise.all([all.flush(), plain.flush()]);
  } finally {
    await Promise.all([all.close(), plain.close()]);
  }
  const remove = async (): Promise<void> => {
    await Promise.all([all.path, plain.path].map((each) => rm(each)));
  };
  return { totals, all: () => linesOf(all.path), plain: () => linesOf(plain.path), remove };
}

/** Lines on their way into a file, many at once. */
class LineFile {
  readonly path: string;
  readonly #file: FileHandle;
  #lines: string[] = [];

  private constructor(path: string, file: FileHandle) {
    this.path = path;
    this.#file = file;
  }

  static async create(path: string): Promise<LineFile> {
    return new LineFile(path, await open(path, 'wx', 0o600));
  }

  async write(entry: ScannedEntry): Promise<void> {
    const { type, path, mode, uid, gid, size, mtimeNs, ctimeNs, inode, target } = entry;
    this.#lines.push(`${JSON.stringify([type, path, mode, uid, gid, size, mtimeNs, ctimeNs, inode, target] satisfies Line)}\n`);
    if (this.#lines.length >= TOGETHER) await this.flush();
  }

  /** Throws DISK_FULL or the system's error. */
  async flush(): Promise<void> {
    const lines = this.#lines.splice(0);
    try {
      await this.#file.writeFile(lines.join(''));
    } catch (error) {
      if (errnoOf(error) !== 'ENOSPC' && errnoOf(error) !== 'EDQUOT') throw error;
      throw new StillpointError('DISK_FULL', `No space is left on the file system of ${this.path}`, { cause: error });
    }
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

type Line = [ScannedEntry['type'], string, number, number, number, number, string, string, string, string];

async function* linesOf(path: string): AsyncGenerator<ScannedEntry> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  for await (const piece of createReadStream(path)) {
    const lines = `${rest}${decoder.write(piece as Buffer)}`.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const [type, name, mode, uid, gid, size, mtimeNs, ctimeNs, inode, target] = JSON.parse(line) as Line;
      yield { type, path: name, mode, uid, gid, size, mtimeNs, ctimeNs, inode, target };
    }
  }
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
