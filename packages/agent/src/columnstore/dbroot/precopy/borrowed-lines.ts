import type { ListedFile } from '@stillpoint/shared/manifest';
import { type Borrowed, Borrowing } from '../increment/borrowing.ts';
import type { ParentDbroot } from '../increment/parent-dbroot.ts';
import { parentFiles } from '../increment/parent-files.ts';
import type { StoredFiles } from './stored-files.ts';

/** Archives of the parent's have numbers below 0 as long as nobody knows how many of our own there will be. Its own reverse. */
const numbered = (archive: number): number => -1 - archive;

/** Whether a line is one of the parent's. Pure. */
export const isBorrowed = ({ shard }: Pick<ListedFile, 'shard'>): boolean => shard < 0;

/** Files of the parent, to seed `StoredFiles` with; without those that are stored in any case. Throws as `parentFiles` does. */
export async function* linesOfParent(parent: ParentDbroot, restless: ReadonlySet<string>, signal: AbortSignal): AsyncGenerator<ListedFile> {
  for await (const file of parentFiles(parent, signal)) if (!restless.has(file.path)) yield { ...file, shard: numbered(file.shard) };
}

/** What of an image lies in parts of other sets. */
export interface BorrowedLines {
  readonly of: Borrowed | undefined;
  /** The line of such a file, without its end, as the list has it. */
  readonly line: (file: ListedFile) => string;
}

/** Adds up what of an image is the parent's, when so many shards of our own come first. Throws the system's error. */
export async function borrowedLines(
  parent: ParentDbroot | undefined,
  good: ReturnType<StoredFiles['good']>,
  ownShards: number,
): Promise<BorrowedLines> {
  if (parent === undefined) return { of: undefined, line: JSON.stringify };
  const borrowing = new Borrowing(parent);
  for await (const { file } of good) if (isBorrowed(file)) borrowing.add(numbered(file.shard), file);
  const places = borrowing.places(ownShards);
  return { of: borrowing.all, line: (file) => JSON.stringify({ ...file, shard: places.get(numbered(file.shard)) ?? 0 }) };
}
