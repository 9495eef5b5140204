import { StillpointError } from '@stillpoint/shared/errors';
import type { DeleteReport, RunOptions, SetSummary } from '../api.ts';
import { judgeSets, type Listing } from '../catalog/judge.ts';
import { listRepositories } from '../catalog/rescan.ts';
import type { ControllerContext } from '../context.ts';
import { deletePart } from './commit.ts';
import { PLAIN_ENDINGS, runOperation, withNodes } from './operation.ts';
import { runPhase } from './phase.ts';
import { readersOf } from './retention-outlook.ts';

/**
 * Removes a set from all nodes, good or not. It stops being good before the first byte goes. Throws SET_NOT_FOUND, SET_PROTECTED,
 * SET_NEEDED with the names of the sets that need it, and RESTORE_UNFINISHED while a restore may need it.
 */
export async function deleteSet(context: ControllerContext, setId: string, options: RunOptions): Promise<DeleteReport> {
  const { agents, store } = context;
  const known = store.catalog.find(setId);
  if (known === undefined) {
    throw new StillpointError('SET_NOT_FOUND', `the catalog knows no set ${setId}`, {
      hint: '`stillpoint backup list --rescan` reads the repositories of all nodes.',
    });
  }
  refuseKept(context, known.summary);
  // Whatever its manifest says: of a set that is not good, any node may hold a share.
  const holders = known.summary.state === 'good' ? agents.all.filter(({ node }) => known.summary.nodes.includes(node)) : agents.all;
  const record = store.journal.begin({ kind: 'delete', setId, nodes: holders.map(({ node }) => node) });
  return runOperation(context, record, options, PLAIN_ENDINGS, (operation) =>
    withNodes(context, operation, holders, async (signal) => {
      refuseAsTold(context.config.cluster, await listRepositories(holders, signal), setId);
      store.catalog.beginDeletion(setId, `its deletion was begun by ${operation.id}`);
      let freedBytes = 0;
      const steps = holders.map((agent) => ({ kind: 'delete', node: agent.node, agent }));
      await runPhase(operation, { phase: 'delete', steps }, undefined, async ({ agent }) => {
        const freed = await deletePart(agent, operation.id, setId);
        freedBytes += freed;
      });
      store.catalog.remove(setId);
      return { setId, freedBytes };
    }),
  );
}

/** Throws when something speaks against the deletion, as far as this controller knows. */
function refuseKept({ store }: ControllerContext, { setId, isProtected }: SetSummary): void {
  const reader = readersOf(store).get(setId);
  if (reader !== undefined)
    throw new StillpointError('RESTORE_UNFINISHED', `set ${setId} is the source of ${reader}, which has yet to read it`);
  if (isProtected) throw new StillpointError('SET_PROTECTED', `set ${setId} is protected`);
  const users = store.catalog.list(false).filter((other) => store.catalog.find(other.setId)?.set?.uses.includes(setId));
  if (users.length === 0) return;
  throw new StillpointError('SET_NEEDED', `set ${setId} holds bytes that ${users.map((user) => user.setId).join(', ')} need`);
}

/** Throws when one of the nodes would refuse it: all of them are asked before the first byte goes. */
function refuseAsTold(cluster: string, listings: readonly Listing[], setId: string): void {
  for (const listing of listings) if ('error' in listing) throw listing.error;
  const sets = judgeSets(cluster, listings);
  const found = sets.find((set) => set.setId === setId);
  if (found?.isProtected) throw new StillpointError('SET_PROTECTED', `set ${setId} is protected`);
  if (found !== undefined && found.readBy !== '')
    throw new StillpointError('RESTORE_UNFINISHED', `set ${setId} is the source of ${found.readBy}, which has yet to read it`);
  const users = sets.filter(({ set }) => set?.uses.includes(setId) && set.setId !== setId);
  if (users.length === 0) return;
  throw new StillpointError('SET_NEEDED', `set ${setId} holds bytes that ${users.map((user) => user.setId).join(', ')} need`);
}
