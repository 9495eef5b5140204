import type { StillpointError } from '@stillpoint/shared/errors';
import { decodeSetManifest, type SetManifest, sha256Of } from '@stillpoint/shared/manifest';
import type { FoundSet } from './catalog.ts';

/** What one repository holds of one set. */
export interface Holding {
  readonly setId: string;
  /** The bytes of set.json; empty when there is none. */
  readonly manifest: Uint8Array;
  readonly hasPart: boolean;
  readonly isProtected: boolean;
  /** Restore of that node that has yet to read it; empty for none. */
  readonly readBy: string;
}

/** What one node's repository holds, or why that is unknown. */
export type Listing =
  | { readonly node: string; readonly holdings: readonly Holding[] }
  | { readonly node: string; readonly error: StillpointError };

/** A judged set. */
export interface JudgedSet extends FoundSet {
  /** Nodes whose silence alone keeps it from being good. */
  readonly unasked: readonly string[];
  /** Restore that has yet to read it, as its node says; empty for none. */
  readonly readBy: string;
}

/**
 * Judges every set that any repository holds something of. A set is good when all of its members that are configured hold
 * their part and the same set.json. One set.json is written only once every part was attested and published, so it vouches for
 * the parts that are there: a set of which some are missing is incomplete. Members that are no longer configured are not waited
 * for. Pure.
 */
export function judgeSets(cluster: string, listings: readonly Listing[]): JudgedSet[] {
  const holders = new Map<string, Map<string, Holding>>();
  for (const listing of listings) {
    if ('error' in listing) continue;
    for (const holding of listing.holdings) {
      const byNode = holders.get(holding.setId) ?? new Map<string, Holding>();
      holders.set(holding.setId, byNode.set(listing.node, holding));
    }
  }
  return [...holders].map(([setId, byNode]) => {
    const held = [...byNode.values()];
    const readBy = held.find((holding) => holding.readBy !== '')?.readBy ?? '';
    return { ...judge(cluster, setId, holders, listings), isProtected: held.some(({ isProtected }) => isProtected), readBy };
  });
}

/** By set, and then by node. */
type Holders = ReadonlyMap<string, ReadonlyMap<string, Holding>>;

type Judgement = Omit<JudgedSet, 'isProtected' | 'readBy'>;

function judge(cluster: string, setId: string, holders: Holders, listings: readonly Listing[]): Judgement {
  const byNode = holders.get(setId) ?? new Map<string, Holding>();
  const failed = (reason: string, set?: SetManifest, unasked: readonly string[] = []): Judgement => ({
    setId,
    state: 'failed',
    reason,
    set,
    unasked,
  });
  const written = [...byNode].filter(([, { manifest }]) => manifest.length > 0);
  const [first] = written;
  if (first === undefined) return failed('it was never committed');
  const digests = new Set(written.map(([, { manifest }]) => sha256Of(manifest)));
  if (digests.size > 1) return failed(`set.json differs between ${written.map(([node]) => node).join(', ')}`);
  const decoded = decode(first[1].manifest, `${first[0]}: set.json of ${setId}`);
  if (typeof decoded === 'string') return failed(decoded);
  if (decoded.setId !== setId || decoded.cluster !== cluster) {
    return failed(`set.json names set ${decoded.setId} of cluster ${decoded.cluster}`);
  }
  const unasked: string[] = [];
  const missing: string[] = [];
  for (const { node } of decoded.members) {
    const listing = listings.find((other) => other.node === node);
    const holding = byNode.get(node);
    if (listing === undefined) continue;
    if ('error' in listing) unasked.push(node);
    else if (holding === undefined || holding.manifest.length === 0) missing.push(`set.json is missing on ${node}`);
    else if (!holding.hasPart) missing.push(`the part of ${node} is missing`);
  }
  missing.push(...missingUsed(decoded, holders, listings));
  if (![...byNode.values()].some(({ hasPart }) => hasPart)) return failed('no part of it is left', decoded);
  const silence = unasked.length > 0 ? [`${unasked.join(', ')} could not be asked for a share of it`] : [];
  const reasons = [...missing, ...silence];
  if (reasons.length > 0) {
    return { setId, state: 'incomplete', reason: reasons.join('; '), set: decoded, unasked: missing.length > 0 ? [] : unasked };
  }
  return { setId, state: 'good', reason: '', set: decoded, unasked };
}

/**
 * What is gone of the sets whose bytes a set uses. Which nodes had a part of one is known from its set.json; without any, whoever has a part of the
 * set that uses it should have had one. What is gone of a node that borrows nothing is no loss.
 */
function missingUsed({ members, uses }: SetManifest, holders: Holders, listings: readonly Listing[]): string[] {
  return uses.flatMap((used) => {
    const held = holders.get(used) ?? new Map<string, Holding>();
    const written = [...held.values()].find(({ manifest }) => manifest.length > 0);
    const known = written === undefined ? used : decode(written.manifest, `set.json of ${used}`);
    const nodes = typeof known === 'string' ? borrowersOf(members).map(({ node }) => node) : neededOf(known.members, members);
    return nodes
      .filter((node) => listings.some((listing) => listing.node === node && 'holdings' in listing))
      .filter((node) => held.get(node)?.hasPart !== true)
      .map((node) => `the part of ${node} in set ${used}, which it uses, is missing`);
  });
}

const borrowersOf = (members: SetManifest['members']): SetManifest['members'] => {
  const borrowers = members.filter(({ borrowedBytes = 0 }) => borrowedBytes > 0);
  return borrowers.length === 0 ? members : borrowers;
};

/** Nodes whose parts a set may need: of who borrows anything, and of who owned its dbroots then. A node that was taken in full needs nothing. Pure. */
function neededOf(had: SetManifest['members'], members: SetManifest['members']): string[] {
  const borrowers = borrowersOf(members);
  const isNeeded = ({ node, dbroots }: SetManifest['members'][number]): boolean =>
    borrowers.some((borrower) => borrower.node === node || borrower.dbroots.some((number) => dbroots.includes(number)));
  return had.filter(isNeeded).map(({ node }) => node);
}

function decode(manifest: Uint8Array, where: string): SetManifest | string {
  try {
    return decodeSetManifest(manifest, where);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
