import { toStillpointError } from '@stillpoint/shared/errors';
import { onEveryNode } from '../agents/every-node.ts';
import type { NodeAgent } from '../agents/pool.ts';
import type { Catalog } from './catalog.ts';
import { type Holding, type JudgedSet, judgeSets, type Listing } from './judge.ts';

/** What a look into all repositories found. */
export interface Scan {
  readonly sets: readonly JudgedSet[];
  /** Nodes that could not be asked. */
  readonly silent: readonly string[];
}

/** What the repositories of nodes hold; one that cannot be asked is an answer too. Throws only when the signal is aborted. */
export function listRepositories(agents: readonly NodeAgent[], signal: AbortSignal): Promise<Listing[]> {
  return onEveryNode(agents, undefined, async (agent): Promise<Listing> => {
    try {
      return { node: agent.node, holdings: await holdingsOf(agent, signal) };
    } catch (thrown) {
      if (signal.aborted) throw thrown;
      return { node: agent.node, error: toStillpointError(thrown).on(agent.node) };
    }
  });
}

/** Reads what the repositories of all nodes hold and judges it. Throws only when the signal is aborted. */
export async function scanSets(cluster: string, agents: readonly NodeAgent[], signal: AbortSignal): Promise<Scan> {
  return scanOf(cluster, await listRepositories(agents, signal));
}

/**
 * Rebuilds the catalog from the repositories. Sets known as good stay so when nothing but a silent node speaks against them.
 * Returns the silent nodes. Throws CATALOG_UNUSABLE, or the signal's reason.
 */
export async function rescan(
  catalog: Catalog,
  cluster: string,
  agents: readonly NodeAgent[],
  signal: AbortSignal,
): Promise<readonly string[]> {
  const since = catalog.generation();
  return takeIn(catalog, cluster, await listRepositories(agents, signal), since).silent;
}

/** Rebuilds the catalog from what repositories were found to hold after the generation `since`. Throws CATALOG_UNUSABLE. */
export function takeIn(catalog: Catalog, cluster: string, listings: readonly Listing[], since: number): Scan {
  const { sets, silent } = scanOf(cluster, listings);
  const judged = new Map(sets.map((set) => [set.setId, set]));
  const known = new Map(catalog.list(true).map((set) => [set.setId, set]));
  // The mark may lie on a node that is silent.
  const marked = sets.map((set) => {
    const before = known.get(set.setId);
    const inDoubt = before?.isProtected === true && before.nodes.some((node) => silent.includes(node));
    return inDoubt ? { ...set, isProtected: true } : set;
  });
  catalog.replace(marked, since, ({ setId, state, nodes }) => {
    const found = judged.get(setId);
    const inDoubt = found === undefined ? nodes.some((node) => silent.includes(node)) : found.unasked.length > 0;
    return inDoubt && (state === 'good' || (state === 'incomplete' && found === undefined));
  });
  // Of what was kept as it was known, a mark may be news.
  for (const { setId, isProtected } of marked) {
    if (isProtected && catalog.find(setId)?.summary.isProtected === false) catalog.setProtected(setId, true);
  }
  return { sets: marked, silent };
}

const scanOf = (cluster: string, listings: readonly Listing[]): Scan => ({
  sets: judgeSets(cluster, listings),
  silent: listings.filter((listing) => 'error' in listing).map(({ node }) => node),
});

async function holdingsOf(agent: NodeAgent, signal: AbortSignal): Promise<Holding[]> {
  const holdings: Holding[] = [];
  for await (const { setId, manifest, hasPart, protected: isProtected, readBy } of agent.rpc.listSets({}, { signal }))
    holdings.push({ setId, manifest, hasPart, isProtected, readBy });
  return holdings;
}
