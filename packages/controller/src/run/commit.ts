import { toStillpointError } from '@stillpoint/shared/errors';
import { onEveryNode } from '../agents/every-node.ts';
import type { NodeAgent } from '../agents/pool.ts';
import { openScope } from '../agents/scope.ts';
import { scanSets } from '../catalog/rescan.ts';
import type { ControllerContext } from '../context.ts';
import { type BackupRun, runBackupPhase } from './backup-run.ts';
import type { Operation } from './operation.ts';

/** Unlinking the shards of a large part takes its time, ms. */
const DELETE_TIMEOUT_MS = 120_000;

/**
 * Commits a set on all of its nodes, or on none as far as they can be reached: when one node fails, the others take their
 * share back. That a commit is open is journaled before the first set.json is written, so that a crash is made good later.
 */
export async function commitSet({ store }: ControllerContext, run: BackupRun, signal: AbortSignal): Promise<void> {
  const { operation, set, setId } = run;
  if (set === undefined) throw new Error('a commit before the set was composed');
  store.journal.setCommitOpen(operation.id, true);
  try {
    await runBackupPhase(run, 'commit', openScope(signal));
  } catch (error) {
    if (await deleteEverywhere(operation, run.agents.all, setId)) store.journal.setCommitOpen(operation.id, false);
    throw error;
  }
  store.catalog.add(set.manifest);
  store.journal.setCommitOpen(operation.id, false);
}

/**
 * Settles commits that a dead controller, or one that lost a node, left open: a set that lies complete on all of its nodes
 * is good, any other is taken back unless the catalog knows it as good. Needs the claims of an operation.
 */
export async function settleOpenCommits(
  { config, agents, store }: ControllerContext,
  operation: Operation,
  signal: AbortSignal,
): Promise<void> {
  const open = store.journal.list('backup').filter(({ commitOpen }) => commitOpen);
  if (open.length === 0) return;
  const { sets, silent } = await scanSets(config.cluster, agents.all, signal);
  for (const { id, setId } of open) {
    const found = sets.find((set) => set.setId === setId);
    if (found?.state === 'good' && found.set !== undefined) {
      store.catalog.add(found.set);
      operation.observe({ type: 'log', node: '', message: `set ${setId} of ${id}, which ended while committing, is complete` });
    } else if (store.catalog.find(setId)?.summary.state !== 'good') {
      // One that is known as good was committed everywhere: what it lost since is no reason to delete the rest of it.
      if (silent.length > 0 || !(await deleteEverywhere(operation, agents.all, setId))) continue;
      store.catalog.remove(setId);
    }
    store.journal.setCommitOpen(id, false);
  }
}

/** Removes a set from all nodes, heeding no signal. True when nothing of it is left anywhere; failures are logged. */
async function deleteEverywhere({ id: operationId, observe }: Operation, agents: readonly NodeAgent[], setId: string): Promise<boolean> {
  const gone = await onEveryNode(agents, undefined, async (agent) => {
    try {
      await deletePart(agent, operationId, setId);
      return true;
    } catch (thrown) {
      observe({
        type: 'log',
        node: agent.node,
        message: `the share of ${setId} could not be removed: ${toStillpointError(thrown).message}`,
      });
      return false;
    }
  });
  return gone.every(Boolean);
}

/** Removes a node's share of a set, if there is one. Returns the bytes given back. */
export async function deletePart(agent: NodeAgent, operationId: string, setId: string): Promise<number> {
  try {
    const { freedBytes } = await agent.rpc.deletePart({ operationId, setId }, { timeoutMs: DELETE_TIMEOUT_MS });
    return Number(freedBytes);
  } catch (thrown) {
    const error = toStillpointError(thrown);
    if (error.code === 'PART_NOT_FOUND' || error.code === 'SET_NOT_FOUND') return 0;
    throw error;
  }
}
