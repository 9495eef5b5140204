import { type BigIntStats, type Dirent, lstatSync, readdirSync, readlinkSync } from 'node:fs';
import { ThreadFailure } from '../../../thread/failure.ts';
import type { ScannedEntry } from '../entry.ts';
import { movedText, reading } from '../failure-text.ts';

const GONE = new Set(['ENOENT', 'ENOTDIR']);
const isGone = (error: unknown): boolean => GONE.has((error as NodeJS.ErrnoException).code ?? '');

/** On a thread: the names in a directory; none when it is gone and that may be. Throws CAPTURE_MOVED, CAPTURE_FAILED. */
export function namesIn(directory: string, isAlive: boolean): string[] {
  const names = reading(directory, () => {
    try {
      return readdirSync(directory);
    } catch (error) {
      if (isAlive && isGone(error)) return [];
      throw error;
    }
  });
  if (names.some(mayBeNoText)) requireText(directory);
  return names;
}

/** On a thread: the names in a directory, with what they are, which costs less than a look at each. Throws CAPTURE_MOVED, CAPTURE_FAILED. */
export function typedIn(directory: string): Dirent[] {
  const found = reading(directory, () => readdirSync(directory, TYPED));
  if (found.some(({ name }) => mayBeNoText(name))) requireText(directory);
  return found;
}

const TYPED = { withFileTypes: true } as const;

const mayBeNoText = (name: string): boolean => name.includes('\ufffd');

/** A list in text cannot name what is not text. */
function requireText(directory: string): void {
  for (const bytes of readdirSync(directory, { encoding: 'buffer' })) {
    if (Buffer.from(bytes.toString('utf8')).equals(bytes)) continue;
    const message = `${directory} holds a file whose name is not UTF-8: ${JSON.stringify(bytes.toString('latin1'))}`;
    throw new ThreadFailure({ code: 'CAPTURE_FAILED', message, hint: 'The engine gives no such names. Rename or remove it.' });
  }
}

const STATS = { bigint: true, throwIfNoEntry: false } as const;

/** On a thread: what the system tells of a path; undefined when it is gone and that may be. Throws CAPTURE_MOVED, CAPTURE_FAILED. */
export function statsOf(path: string, isAlive: boolean): BigIntStats | undefined {
  const stats = reading(path, () => lstatSync(path, STATS));
  if (stats === undefined && !isAlive) throw new ThreadFailure(movedText(path, 'vanished'));
  return stats;
}

/** On a thread: where a link leads; undefined when it is none any more and that may be. Throws CAPTURE_MOVED, CAPTURE_FAILED. */
export const targetOf = (path: string, isAlive: boolean): string | undefined =>
  reading(path, () => {
    try {
      return readlinkSync(path);
    } catch (error) {
      if (isAlive && (isGone(error) || (error as NodeJS.ErrnoException).code === 'EINVAL')) return undefined;
      throw error;
    }
  });

const S_IFMT = 0o170000;
const TYPES = new Map<number, ScannedEntry['type']>([
  [0o100000, 'file'],
  [0o040000, 'directory'],
  [0o120000, 'link'],
]);

/** Undefined for what is neither file, directory nor link. Pure. */
export const typeOf = ({ mode }: BigIntStats): ScannedEntry['type'] | undefined => TYPES.get(Number(mode) & S_IFMT);
