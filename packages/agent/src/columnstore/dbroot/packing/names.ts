import { LAYOUT, type Shard, shardNamed } from '@stillpoint/shared/manifest';

/** What the names of a dbroot's files depend on. */
export interface NamedBy {
  readonly number: number;
  /** Public keys that they are encrypted for. */
  readonly recipients: readonly string[];
}

type Named = Pick<Shard, 'name' | 'encoding'>;

/** Name and encoding of a shard, by its index. */
export const namedShard = ({ number, recipients }: NamedBy, index: number): Named =>
  shardNamed(LAYOUT.dbroot(number, index), 'tar+zstd', recipients.length > 0);

/** The same of the shard with what has changed since the others were written. */
export const namedDelta = ({ number, recipients }: NamedBy): Named =>
  shardNamed(LAYOUT.dbrootDelta(number), 'tar+zstd', recipients.length > 0);

/** The same of the list. */
export const namedList = ({ number, recipients }: NamedBy): Named =>
  shardNamed(LAYOUT.dbrootFiles(number), 'jsonl+zstd', recipients.length > 0);
