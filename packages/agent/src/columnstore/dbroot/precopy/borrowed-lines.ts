import type { ListedFile } from '@stillpoint/shared/manifest';
import { type Borrowed, Borrowing } from '../increment/borrowing.ts';
import type { ParentDbroot } from '../increment/parent-dbroot.ts';
import { parentFiles } from '../increment/parent-files.ts';
import type { StoredFiles } from './stored-files.ts';

/** As which shard an archive of the parent's is noted as long as nobody knows how many of our own there will be: below 0. */
const shardOf = (archive: number): number => -1 - archive;

/** Whether a line is one of the parent's. Pure. */
export const isBorrowed = ({ shard }: Pick<ListedFile, 'shard'>): boolean => shard < 0;

/** In which archive of the parent's the file of such a line lies. Pure. */
export const archiveOf = ({ shard }: Pick<ListedFile, 'shard'>): number => -1 - shard;

/** Files of the parent, to seed `StoredFiles` with; without those that are stored in any case. Throws as `parentFiles` does. */
export async function* linesOfParent(parent: ParentDbroot, restless: ReadonlySet<string>, signal: AbortSignal): AsyncGenerator<ListedFile> {
  for await (const file of parentFiles(parent, signal)) if (!restless.has(file.path)) yield { ...file, shard: shardOf(file.shard) };
}

/** What of an image lies in parts of other sets. */
export interface BorrowedLines {
  readonly of: Borrowed | undefined;
  /** The line of such a file, without its end, as the list has it. */
  readonly line: (file: ListedFile) => string;
}

/** Adds up what of an image is the parent's, by the look inside the still point, when so many shards of our own come first. */
export function borrowedLines(parent: ParentDbroot | undefined, stored: StoredFiles, seen: number, ownShards: number): BorrowedLines {
  if (parent === undefined) return { of: undefined, line: JSON.stringify };
  const borrowing = new Borrowing(parent);
  stored.eachBorrowed(seen, (archive, size) => borrowing.add(archive, { size }));
  const places = borrowing.places(ownShards);
  return { of: borrowing.all, line: (file) => JSON.stringify({ ...file, shard: places.get(archiveOf(file)) ?? 0 }) };
}
