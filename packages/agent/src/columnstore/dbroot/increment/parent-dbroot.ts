import type { BorrowedShard, ListedEntry } from '@stillpoint/shared/manifest';

/** A dbroot as an earlier set has it, of whose files those that are the same still need not be stored again. */
export interface ParentDbroot {
  readonly setId: string;
  /** Its archives, in the order in which its list counts them. */
  readonly archives: readonly BorrowedShard[];
  /** How many of them, from the first, lie in that set itself. The others are older. */
  readonly ownArchives: number;
  /** Files in its list. */
  readonly files: number;
  /** See PartDbroot; undefined when it is not known. */
  readonly lookedAtMs: number | undefined;
  /** Its list from the beginning. Throws as `readList` does. */
  list(signal: AbortSignal): AsyncIterable<ListedEntry>;
}
