import type { BigIntStats } from 'node:fs';
import { lstat, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { StillpointError } from '@stillpoint/shared/errors';
import { entryOf, type ScannedEntry } from './entry.ts';
import { readFailure } from './failure.ts';
import { isLeftOut } from './rules.ts';

/** Entries looked at together: hides the latency of the thread pool, which is busy compressing. */
const TOGETHER = 64;

/** What to scan. */
export interface Scan {
  /** The directory, with no link on the way to it. */
  readonly root: string;
  /** Gets a sentence for whatever is left out. */
  readonly note: (message: string) => void;
  readonly signal: AbortSignal;
}

/**
 * Everything in a dbroot, directories before what lies in them, always in the same order (`comparePaths`). Links are not followed.
 * Throws CAPTURE_MOVED for what vanishes meanwhile, CAPTURE_FAILED for what cannot be looked at or is named by no text, or the signal's reason.
 */
export async function* scanDbroot(scan: Scan, directory = ''): AsyncGenerator<ScannedEntry> {
  const names = await namesIn(join(scan.root, directory));
  for (let at = 0; at < names.length; at += TOGETHER) {
    scan.signal.throwIfAborted();
    const paths = names.slice(at, at + TOGETHER).map((name) => (directory === '' ? name : `${directory}/${name}`));
    for (const entry of await Promise.all(paths.map((path) => look(scan, path)))) {
      if (entry === undefined) continue;
      yield entry;
      if (entry.type === 'directory') yield* scanDbroot(scan, entry.path);
    }
  }
}

async function namesIn(directory: string): Promise<string[]> {
  const found = await readdir(directory, { encoding: 'buffer' }).catch((error: unknown) => {
    throw readFailure(directory, error);
  });
  return found.map((bytes) => textOf(bytes, directory)).sort();
}

/** A list in text cannot name what is not text. */
function textOf(bytes: Buffer, directory: string): string {
  const name = bytes.toString('utf8');
  if (Buffer.from(name).equals(bytes)) return name;
  throw new StillpointError(
    'CAPTURE_FAILED',
    `${directory} holds a file whose name is not UTF-8: ${JSON.stringify(bytes.toString('latin1'))}`,
    {
      hint: 'The engine gives no such names. Rename or remove it.',
    },
  );
}

async function look({ root, note }: Scan, path: string): Promise<ScannedEntry | undefined> {
  if (isLeftOut(path)) return undefined;
  const full = join(root, path);
  try {
    const stats = await lstat(full, { bigint: true });
    const type = typeOf(stats);
    if (type === undefined) {
      note(`${full} is neither file, directory nor link, and was left out`);
      return undefined;
    }
    return { ...entryOf(type, path, stats), target: type === 'link' ? await readlink(full) : '' };
  } catch (error) {
    throw readFailure(full, error);
  }
}

const typeOf = (stats: BigIntStats): ScannedEntry['type'] | undefined => {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'directory';
  return stats.isSymbolicLink() ? 'link' : undefined;
};
