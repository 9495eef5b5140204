import type { StoredFile } from '../../../archive/stored.ts';
import type { FileKey } from '../../../encryption/file-key.ts';
import type { NamedEntry } from '../named.ts';
import type { Basis } from '../scanning/orders.ts';
import type { BlockSeed } from './blocks.ts';
import type { FileStamp } from './stamp-table.ts';

/** What a thread is started with that packs files which may be written meanwhile, or were taken: one shard. */
export interface ShardToFill {
  /** The new file. */
  readonly path: string;
  /** Which of the dbroot's shards it is. */
  readonly index: number;
  /** zstd level; 0 stores without compressing. */
  readonly level: number;
  /** What the shard is encrypted with; undefined leaves it as it is. */
  readonly key: FileKey | undefined;
  /** The dbroot, with no link on the way to it. */
  readonly root: string;
  /** Of the digests by which blocks are known again; undefined when none are needed. */
  readonly seed?: BlockSeed;
}

/** Bytes of a file that was taken. */
export interface TakenPlace {
  readonly entry: NamedEntry;
  readonly file: string;
  readonly at: number;
}

/** What it can be told. Plain entries come after all files, and then the end. */
export type FillOrder =
  | { readonly kind: 'alone'; readonly file: NamedEntry }
  | { readonly kind: 'together'; readonly files: readonly NamedEntry[] }
  | { readonly kind: 'taken-alone'; readonly file: TakenPlace }
  | { readonly kind: 'taken-together'; readonly files: readonly TakenPlace[] }
  | { readonly kind: 'plain'; readonly entries: readonly NamedEntry[] }
  | { readonly kind: 'end' };

/** A file that was packed. */
export interface FilledFile {
  /** As it was before it was read. */
  readonly stamp: FileStamp;
  /** Its line of the list. Undefined when it became shorter while it was read: then what lies in the shard is no file at all. */
  readonly line: string | undefined;
  /** False when it may have been written again without another stamp. */
  readonly isSure: boolean;
  /** Of a large file: what its blocks were. */
  readonly basis: BasisPlace | undefined;
}

/** Where the blocks lie that a basis tells of. */
export interface BasisPlace extends Basis {
  readonly shard: string;
  /** Whether the shard is encrypted: then its key opens it, which is in the memory of the process that has written it, and nowhere else. */
  readonly isSealed: boolean;
  readonly frame: number;
  readonly frameBytes: number;
  readonly size: number;
}

/** The same with what opens the shard. */
export interface ReadableBasis extends BasisPlace {
  readonly key: FileKey | undefined;
}

/** Its answers: files that were still there, in the order in which they lie in the shard; what was written, at the end; else nothing. */
export type FillAnswer = { readonly files: readonly FilledFile[] } | { readonly stored: StoredFile } | undefined;

/** Bytes of files that it has read, in passing. */
export type FillWord = number;
