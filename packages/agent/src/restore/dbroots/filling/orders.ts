import type { PartDbroot, Shard } from '@stillpoint/shared/manifest';
import type { Account } from '../../../host/index.ts';

/** What a thread that unpacks is started with: one shard of one dbroot. */
export interface ShardToUnpack {
  readonly dbroot: Pick<PartDbroot, 'number' | 'shards' | 'superseded'>;
  /** See ListedArchive. */
  readonly index: number;
  readonly shard: Shard;
  /** Where it lies, for messages. */
  readonly where: string;
  /** The dbroot's list, for messages. */
  readonly listName: string;
  /** True when its pieces come decrypted, and who gives them compares size and digest of what is stored. */
  readonly isOpened: boolean;
  /** Directory into which files are written; the directories in it are there. */
  readonly stage: string;
  /** To whom files are given; undefined leaves them to the agent's own account. */
  readonly owner: Account | undefined;
}

/**
 * What it is handed: the shard, and the list, opened but still compressed. The list once for the files, and once more for directories and links where
 * those lie in the shard.
 */
export type Stream = 'shard' | 'files' | 'plain';

/** What it can be told. Pieces are answered when there is room for more. */
export type UnpackOrder =
  | { readonly kind: 'unpack' }
  | { readonly kind: 'piece'; readonly of: Stream; readonly data: Uint8Array }
  | { readonly kind: 'last-piece'; readonly of: Stream };
