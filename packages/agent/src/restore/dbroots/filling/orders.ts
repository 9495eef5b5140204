import type { ListedEntry, PartDbroot, Shard } from '@stillpoint/shared/manifest';
import type { Account } from '../../../host/index.ts';

/** What a thread that unpacks is started with: one shard of one dbroot. */
export interface ShardToUnpack {
  readonly dbroot: Pick<PartDbroot, 'number' | 'shards' | 'superseded'>;
  /** See ListedArchive. */
  readonly index: number;
  readonly shard: Shard;
  /** Where it lies, for messages. */
  readonly where: string;
  /** True when its pieces come decrypted, and who gives them compares size and digest of what is stored. */
  readonly isOpened: boolean;
  /** Directory into which files are written; the directories in it are there. */
  readonly stage: string;
  /** To whom files are given; undefined leaves them to the agent's own account. */
  readonly owner: Account | undefined;
}

/** Lines of the list that it needs: files of its shard; for the last shard of a dbroot also directories and links. */
export type ListPart = 'files' | 'plain';

/** What it can be told. Pieces and entries are answered when there is room for more. */
export type UnpackOrder =
  | { readonly kind: 'unpack' }
  | { readonly kind: 'piece'; readonly data: Uint8Array }
  | { readonly kind: 'last-piece' }
  | { readonly kind: 'entries'; readonly part: ListPart; readonly entries: readonly ListedEntry[] }
  | { readonly kind: 'last-entries'; readonly part: ListPart };
