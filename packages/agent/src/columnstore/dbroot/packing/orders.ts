import type { StoredFile } from '../../../archive/stored.ts';
import type { FileKey } from '../../../encryption/file-key.ts';
import type { NamedEntry } from '../named.ts';
import type { ScanAnswer, ScanOrder } from '../scanning/orders.ts';

/** What a thread that packs is started with: one shard of one dbroot. */
export interface ShardToPack {
  /** The new file. */
  readonly path: string;
  /** Which of the dbroot's shards it is. */
  readonly index: number;
  /** zstd level; 0 stores without compressing. */
  readonly level: number;
  /** What the shard is encrypted with; undefined leaves it as it is. */
  readonly key: FileKey | undefined;
  /** Directory in which the files lie, with no link on the way to it. */
  readonly root: string;
  /** See DbrootPacking. */
  readonly isCopy: boolean;
  /** Files that may be written meanwhile; see rules.ts. */
  readonly restless: ReadonlySet<string>;
}

/** What it can be told. Plain entries come after all files, and then the end; it can look at the directory at any time. */
export type PackOrder =
  | { readonly kind: 'alone'; readonly file: NamedEntry }
  | { readonly kind: 'together'; readonly files: readonly NamedEntry[] }
  | { readonly kind: 'plain'; readonly entries: readonly NamedEntry[] }
  | { readonly kind: 'end' }
  | ScanOrder;

/** Its answers: lines of the list for files, in the order in which they lie in the shard; what was written at the end; what was found; else nothing. */
export type PackAnswer = { readonly lines: Uint8Array } | { readonly stored: StoredFile } | ScanAnswer | undefined;

/** Bytes of files that it has read, in passing. */
export type PackWord = number;
