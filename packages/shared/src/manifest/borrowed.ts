import type { BorrowedShard, PartDbroot, PartManifest, Shard } from './part.ts';

/** Every stored file of other sets that a part needs, once each. */
export function borrowedOf({ columnstore, mariadb }: Pick<PartManifest, 'columnstore' | 'mariadb'>): BorrowedShard[] {
  const all = [...(mariadb?.chain ?? []), ...(columnstore?.dbroots.flatMap(({ borrowed }) => borrowed?.shards ?? []) ?? [])];
  return [...new Map(all.map((shard) => [`${shard.set}/${shard.node}/${shard.name}`, shard])).values()];
}

/** Where a stored file lies: a part's own in its set, a borrowed one where it says. */
export const placeOf = (shard: Shard | BorrowedShard, part: { readonly setId: string; readonly node: string }) =>
  'set' in shard ? { setId: shard.set, node: shard.node } : { setId: part.setId, node: part.node };

/**
 * The archives of a dbroot, in the order in which its list counts them: the part's own, then those that it borrows. Throws for a name that is not among
 * the shards, which the schema of a part rules out.
 */
export const archivesOf = (
  { shards }: Pick<PartManifest, 'shards'>,
  dbroot: Pick<PartDbroot, 'shards' | 'borrowed'>,
): (Shard | BorrowedShard)[] => [...dbroot.shards.map((name) => shardNamedIn(shards, name)), ...(dbroot.borrowed?.shards ?? [])];

function shardNamedIn(shards: readonly Shard[], name: string): Shard {
  const shard = shards.find((each) => each.name === name);
  if (shard === undefined) throw new Error(`a part names ${name} and does not have it`);
  return shard;
}
