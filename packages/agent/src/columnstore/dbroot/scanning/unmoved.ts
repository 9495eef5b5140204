import { join } from 'node:path';
import type { ScannedEntry } from '../entry.ts';
import { moved } from '../failure.ts';
import { entryOfLine } from '../line.ts';
import { type FileStamp, StampTable, tableMemory } from '../precopy/stamp-table.ts';
import type { Found } from './orders.ts';
import type { Scans } from './scans.ts';

/** What was found before, if it was kept. */
interface Kept {
  readonly all: () => AsyncIterable<ScannedEntry>;
  /** Files that may be written at any time; see rules.ts. */
  readonly restless: ReadonlySet<string>;
}

/**
 * Looks at everything once more. Throws CAPTURE_MOVED unless it is as it was found before, or what `scanOn` throws. What was kept of the look
 * before helps to name what has moved.
 */
export async function requireUnmovedSince(before: Found, scans: Scans, path: string, signal: AbortSignal, kept?: Kept): Promise<void> {
  const now = await scans.scan({ tell: 'nothing', isAlive: false, signal });
  if (now.digest === before.digest) return;
  const move = kept && (await firstMove(kept, before, scans, signal));
  const { path: name, what } = move ?? (await latestChange(scans, signal));
  throw moved(join(path, name), what);
}

/** What has moved, and how. */
interface Move {
  /** Relative; empty for the dbroot itself. */
  readonly path: string;
  readonly what: 'appeared' | 'changed' | 'vanished';
}

/** Any look at a table: there is no other in it. */
const SEEN = 1;
/** Of what is on record. */
const KNOWN = 1;

/** The first difference that a look at everything shows; undefined when there is none any more. */
async function firstMove(
  { all, restless }: Kept,
  { directories, files, links }: Found,
  scans: Scans,
  signal: AbortSignal,
): Promise<Move | undefined> {
  const table = new StampTable(tableMemory(files + directories + links));
  for await (const entry of all()) table.record(comparable(entry, restless), KNOWN);
  let move: Move | undefined;
  await scans.scan({
    ...{ tell: 'all', isAlive: true, signal },
    onAnswer: async ({ lines }) => {
      for (const line of linesIn(lines)) {
        const now = comparable(entryOfLine(line), restless);
        if (!table.isSame(now, SEEN)) move ??= { path: now.path, what: table.lineOf(now.path, SEEN) === KNOWN ? 'changed' : 'appeared' };
      }
    },
  });
  if (move !== undefined) return move;
  for await (const { path } of all()) if (table.lineOf(path, SEEN) !== KNOWN) return { path, what: 'vanished' };
  return undefined;
}

/** What makes two looks at something the same, as numbers: of a file its stamp, of a link its own, of a directory that it is one. */
function comparable(entry: ScannedEntry, restless: ReadonlySet<string>): FileStamp {
  const { path, type } = entry;
  if (type === 'link') return { ...entry, size: -1 };
  if (type === 'file' && !restless.has(path)) return entry;
  return { path, size: type === 'file' ? -2 : -3, mtimeNs: '0', ctimeNs: '0', inode: '0' };
}

/** What was changed last: whoever looks for what has moved begins there. */
async function latestChange(scans: Scans, signal: AbortSignal): Promise<Move> {
  let latest: ScannedEntry | undefined;
  await scans.scan({
    ...{ tell: 'all', isAlive: true, signal },
    onAnswer: async ({ lines }) => {
      for (const line of linesIn(lines)) {
        const entry = entryOfLine(line);
        if (latest === undefined || BigInt(entry.ctimeNs) > BigInt(latest.ctimeNs)) latest = entry;
      }
    },
  });
  return { path: latest?.path ?? '', what: 'changed' };
}

/** Lines of an answer, without their ends. Pure. */
export const linesIn = (lines: Uint8Array): string[] => (lines.length === 0 ? [] : Buffer.from(lines).toString().trimEnd().split('\n'));
