import type { Shard } from './part.ts';

/** Encodings of files that are not encrypted. */
export type PlainEncoding = Exclude<Shard['encoding'], `${string}+age`>;

/** Name and encoding of a stored file as the manifest has them: those of a file that is encrypted say so. */
export const shardNamed = (name: string, encoding: PlainEncoding, sealed: boolean): Pick<Shard, 'name' | 'encoding'> =>
  sealed ? { name: `${name}.age`, encoding: `${encoding}+age` } : { name, encoding };

/** True for a stored file that only the holder of a key can read. */
export const isSealed = ({ encoding }: Pick<Shard, 'encoding'>): boolean => encoding.endsWith('+age');
