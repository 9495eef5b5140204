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

/** Reads what the repositories of all nodes hold and judges it. Throws only when the signal is aborted. */
export async function scanSets(cluster: string, agents: readonly NodeAgent[], signal: AbortSignal): Promise<Scan> {
  const listings = await onEveryNode(agents, undefined, async (agent): Promise<Listing> => {
    try {
      return { node: agent.node, holdings: await holdingsOf(agent, signal) };
    } catch (thrown) {
      if (signal.aborted) throw thrown;
      return { node: agent.node, error: toStillpointError(thrown) };
    }
  });
  return { sets: judgeSets(cluster, listings), silent: listings.filter((listing) => 'error' in listing).map(({ node }) => node) };
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
  const { sets, silent } = await scanSets(cluster, agents, signal);
  const judged = new Map(sets.map((set) => [set.setId, set]));
  catalog.replace(sets, since, ({ setId, state, nodes }) => {
    const found = judged.get(setId);
    const inDoubt = found === undefined ? nodes.some((node) => silent.includes(node)) : found.unasked.length > 0;
    return inDoubt && (state === 'good' || (state === 'incomplete' && found === undefined));
  });
  return silent;
}

async function holdingsOf(agent: NodeAgent, signal: AbortSignal): Promise<Holding[]> {
  const holdings: Holding[] = [];
  for await (const { setId, manifest, hasPart } of agent.rpc.listSets({}, { signal })) holdings.push({ setId, manifest, hasPart });
  return holdings;
}
