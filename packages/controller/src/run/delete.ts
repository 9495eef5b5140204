import { StillpointError } from '@stillpoint/shared/errors';
import type { DeleteReport, RunOptions } from '../api.ts';
import type { ControllerContext } from '../context.ts';
import type { JournalState } from '../journal/journal.ts';
import { deletePart } from './commit.ts';
import { PLAIN_ENDINGS, runOperation, withNodes } from './operation.ts';
import { runPhase } from './phase.ts';

/** A restore in one of these may yet read its set. */
const STILL_READING: readonly JournalState[] = ['running', 'failed', 'interrupted'];

/**
 * Removes a set from all nodes, good or not. It stops being good before the first byte goes. Throws SET_NOT_FOUND, and
 * RESTORE_UNFINISHED while a restore may need it.
 */
export async function deleteSet(context: ControllerContext, setId: string, options: RunOptions): Promise<DeleteReport> {
  const { agents, store } = context;
  const known = store.catalog.find(setId);
  if (known === undefined) {
    throw new StillpointError('SET_NOT_FOUND', `the catalog knows no set ${setId}`, {
      hint: '`stillpoint backup list --rescan` reads the repositories of all nodes.',
    });
  }
  refuseWhileRead(context, setId);
  // Whatever its manifest says: of a set that is not good, any node may hold a share.
  const holders = known.summary.state === 'good' ? agents.all.filter(({ node }) => known.summary.nodes.includes(node)) : agents.all;
  const record = store.journal.begin({ kind: 'delete', setId, nodes: holders.map(({ node }) => node) });
  return runOperation(context, record, options, PLAIN_ENDINGS, (operation) =>
    withNodes(context, operation, holders, async () => {
      store.catalog.spoil(setId, `its deletion was begun by ${operation.id}`);
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

function refuseWhileRead({ store }: ControllerContext, setId: string): void {
  store.journal.settleDead();
  const restore = store.journal.list('restore').find((one) => one.setId === setId && STILL_READING.includes(one.state));
  if (restore === undefined) return;
  throw new StillpointError('RESTORE_UNFINISHED', `set ${setId} is the source of ${restore.id}, which is ${restore.state}`);
}
