import type { BorrowedShard, PartManifest, Shard } from './part.ts';

type Server = Pick<PartManifest, 'mariadb' | 'shards'>;

/**
 * Images of a part's server in the order in which they are applied: the full one first, then increments. Those that lie in parts of other sets come before
 * its own. Empty for a part without a server. Pure.
 */
export const imagesOf = ({ mariadb, shards }: Server): (Shard | BorrowedShard)[] => [
  ...(mariadb?.chain ?? []),
  ...ownImages(shards).toSorted((a, b) => Number(b.name === mariadb?.base) - Number(a.name === mariadb?.base)),
];

const ownImages = (shards: readonly Shard[]): Shard[] =>
  shards.filter(({ content }) => content === 'mariadb-full' || content === 'mariadb-incremental');

/** What is wrong with the images that a part names; undefined when they can be those of a server. Pure. */
export function imageFault(part: Server): string | undefined {
  const { base, chain } = part.mariadb ?? {};
  const own = ownImages(part.shards);
  if (own.length === 0)
    return base === undefined && chain === undefined ? undefined : 'images are built upon, and the part has none of its own';
  if (own.length !== (base === undefined ? 1 : 2) || (base !== undefined && !own.some(({ name }) => name === base)))
    return 'the part has two images where `base` names one of them, and otherwise one';
  const isChain = imagesOf(part).every(({ content }, index) => (content === 'mariadb-full') === (index === 0));
  return isChain ? undefined : 'its images cannot follow each other: a full one comes first, and there only';
}
