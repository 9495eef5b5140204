import { hash } from 'node:crypto';
import { type BigIntStats, lstatSync, readdirSync, readlinkSync } from 'node:fs';
import { ThreadFailure } from '../../../thread/failure.ts';
import { entryOf, type ScannedEntry, stampOf } from '../entry.ts';
import { movedText, reading } from '../failure-text.ts';
import { isLeftOut } from '../rules.ts';

/** Gets a sentence for what is left out. */
type Note = (sentence: string) => void;

const GONE = new Set(['ENOENT', 'ENOTDIR']);
const isGone = (error: unknown): boolean => GONE.has((error as NodeJS.ErrnoException).code ?? '');

/** On a thread: the names in a directory, sorted; none when it is gone and that may be. Throws CAPTURE_MOVED, CAPTURE_FAILED. */
export function namesIn(directory: string, isAlive: boolean): string[] {
  const names = reading(directory, () => {
    try {
      return readdirSync(directory);
    } catch (error) {
      if (isAlive && isGone(error)) return [];
      throw error;
    }
  });
  if (names.some((name) => name.includes('\ufffd'))) requireText(directory);
  return names.sort();
}

/** A list in text cannot name what is not text. */
function requireText(directory: string): void {
  for (const bytes of readdirSync(directory, { encoding: 'buffer' })) {
    if (Buffer.from(bytes.toString('utf8')).equals(bytes)) continue;
    const message = `${directory} holds a file whose name is not UTF-8: ${JSON.stringify(bytes.toString('latin1'))}`;
    throw new ThreadFailure({ code: 'CAPTURE_FAILED', message, hint: 'The engine gives no such names. Rename or remove it.' });
  }
}

/** On a thread: what is at a path; undefined when it is no part of an image, or gone and that may be. Throws CAPTURE_MOVED, CAPTURE_FAILED. */
export function lookAt(root: string, path: string, isAlive: boolean, note: Note): ScannedEntry | undefined {
  if (isLeftOut(path)) return undefined;
  const full = `${root}/${path}`;
  return reading(full, () => {
    const stats = lstatSync(full, { bigint: true, throwIfNoEntry: false });
    if (stats === undefined) {
      if (isAlive) return undefined;
      throw new ThreadFailure(movedText(full, 'vanished'));
    }
    const type = typeOf(stats);
    if (type === undefined) note(`${full} is neither file, directory nor link, and was left out`);
    else if (type !== 'link') return entryOf(type, path, stats);
    else return linkAt(full, path, stats, isAlive);
    return undefined;
  });
}

function linkAt(full: string, path: string, stats: BigIntStats, isAlive: boolean): ScannedEntry | undefined {
  try {
    return { ...entryOf('link', path, stats), target: readlinkSync(full) };
  } catch (error) {
    if (isAlive && (isGone(error) || (error as NodeJS.ErrnoException).code === 'EINVAL')) return undefined;
    throw error;
  }
}

const S_IFMT = 0o170000;
const TYPES = new Map<number, ScannedEntry['type']>([
  [0o100000, 'file'],
  [0o040000, 'directory'],
  [0o120000, 'link'],
]);
const typeOf = ({ mode }: BigIntStats): ScannedEntry['type'] | undefined => TYPES.get(Number(mode) & S_IFMT);

/** Digest of a directory's entries: that of another one, or of the same when anything in it has changed, is another. Pure. */
export function digestOf(entries: readonly ScannedEntry[], restless: ReadonlySet<string>): bigint {
  const text = entries.map((entry) => `${entry.path}\0${restless.has(entry.path) ? '' : stampOf(entry)}\0`).join('');
  return (hash('sha256', text, 'buffer') as Buffer).readBigUInt64LE(0);
}
