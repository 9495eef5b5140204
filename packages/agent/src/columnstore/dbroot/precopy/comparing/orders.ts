import type { ScannedEntry } from '../../entry.ts';

/** What a file may be that looks otherwise now. */
export interface KnownContent {
  readonly path: string;
  /** In hex. */
  readonly sha256: string;
}

/** A file that was read. */
export interface Compared {
  /** As it was before it was read. */
  readonly entry: ScannedEntry;
  readonly isSame: boolean;
  /** False when it may have been written again without another stamp. */
  readonly isSure: boolean;
}

export type CompareOrder = readonly KnownContent[];
/** One for each; undefined where no file is there any more. */
export type CompareAnswer = readonly (Compared | undefined)[];
/** Bytes of files that it has read, in passing. */
export type CompareWord = number;
