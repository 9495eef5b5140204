import type { ScannedEntry } from '../entry.ts';
import type { BlockSeed } from '../precopy/blocks.ts';
import type { TableMemory } from '../precopy/stamp-table.ts';

/** What a thread that looks at a dbroot is started with. */
export interface ScannedRoot {
  /** The dbroot, with no link on the way to it. */
  readonly root: string;
  /** Files that may be written at any time; see rules.ts. */
  readonly restless: ReadonlySet<string>;
  /** New file for what is taken; made when something is. */
  readonly takeInto: string;
  /** Of the digests by which blocks are compared; undefined when none are. */
  readonly seed?: BlockSeed;
}

/** How to look at a dbroot. */
export interface Looking {
  /**
   * What to tell of: everything, files that are not as a table of stamps has them (and all directories and links), or nothing. Sums and digest are
   * told in any case.
   */
  readonly tell: 'all' | 'differing' | 'nothing';
  /** True while writers write: what vanishes meanwhile is passed over. Otherwise it is an error. */
  readonly isAlive: boolean;
  /** What to compare with; else every file differs. Whatever is found in it gets the mark `seen`. */
  readonly stamps?: { readonly memory: TableMemory; readonly seen: number };
  /** Existing directory into which every file is cloned as it is found; directories are made in it. */
  readonly cloneTo?: string;
}

/** Looks into directories, relative to the root (empty for the root itself), and into those in them, for a while. */
export interface ScanOrder extends Looking {
  readonly kind: 'scan';
  readonly directories: readonly string[];
}

/** What was found. */
export interface Found {
  readonly files: number;
  readonly directories: number;
  readonly links: number;
  /** Of the files. */
  readonly bytes: number;
  /** Of the files that differ. */
  readonly differingBytes: number;
  /** Sum of digests of the directories, modulo 2^64: the same for two scans between which nothing has moved. */
  readonly digest: bigint;
}

export interface ScanAnswer extends Found {
  /** Directories that were found and not looked into yet. */
  readonly rest: readonly string[];
  /** Lines (line.ts) of what `tell` asks for. */
  readonly lines: Uint8Array;
  /** Lines of directories and links alone, unless nothing is to be told. */
  readonly plain: Uint8Array;
  /** Sentences on what was left out. */
  readonly notes: readonly string[];
}

/** A large file as it was stored before, block by block: those that are the same need not be taken. */
export interface Basis {
  /** Digest of each block; see blocks.ts. */
  readonly digests: Uint8Array;
  /** Length of the first block. */
  readonly first: number;
}

/** A file to take, and what is there of it already. */
export interface FileToTake {
  readonly entry: ScannedEntry;
  readonly basis?: Basis;
}

/** Takes the content of files as it is. */
export interface TakeOrder {
  readonly kind: 'take';
  readonly files: readonly FileToTake[];
}

/** A file that was taken. */
export interface TakenFile {
  /** As it was then. */
  readonly entry: ScannedEntry;
  /** File in which it lies, and where its bytes begin. */
  readonly file: string;
  readonly at: number;
  /** Only those blocks lie there, one behind the other; undefined when all of it does. */
  readonly blocks?: readonly number[];
}

export type ScanningOrder = ScanOrder | TakeOrder;
export type ScanningAnswer = ScanAnswer | readonly TakenFile[];
