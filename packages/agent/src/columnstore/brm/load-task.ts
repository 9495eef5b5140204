import { rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { LoadBrmTask } from '@stillpoint/shared/proto';
import type { Agent } from '../../agent.ts';
import type { TaskContext, TaskDefinition } from '../../task/types.ts';
import { requireEngine } from '../service/engine.ts';
import { refuseRunningEngine } from '../service/processes.ts';
import { clearSharedMemory } from '../service/shared-memory.ts';
import type { Engine } from '../types.ts';
import { currentBrm } from './current.ts';
import { loadBrm } from './load.ts';
import { fetchBrm } from './load-fetch.ts';

/**
 * Loads the block resolution manager into the shared memory of this node, before anything of the engine runs there: the primary its own
 * current set, any other node that of the primary, fetched by ticket. What shared memory holds already is cleared first.
 * Throws BRM_FAILED, ENGINE_RUNNING, ENGINE_SERVICE_FAILED, or what fetching throws.
 */
export const loadBrmTask: TaskDefinition<'loadBrm'> = {
  run: async (agent, spec, task) => {
    const engine = await requireEngine(agent.config);
    await refuseRunningEngine(agent.config);
    const prefix = await placeBrm(agent, engine, spec, task);
    await clearSharedMemory(engine, task.signal);
    const replayed = await loadBrm(engine, prefix, task.signal);
    task.log(`loaded ${prefix}, ${replayed} transactions of the journal replayed`);
    return { result: { case: 'loadBrm', value: { replayed } } };
  },
};

/** Brings it where load_brm is to find it. Gives the prefix of its files. */
async function placeBrm(
  { config }: Agent,
  engine: Engine,
  { primary, primaryNode }: LoadBrmTask,
  { signal }: TaskContext,
): Promise<string> {
  const { dbrmRoot, scratchDirectory } = engine.topology;
  if (primary === undefined) return (await currentBrm(dbrmRoot)).prefix;
  const prefix = join(scratchDirectory, basename(dbrmRoot));
  try {
    await fetchBrm(config, { node: primaryNode, seed: primary, prefix, owner: engine.owner }, signal);
  } catch (error) {
    // Half of it would be believed by whoever starts the engine by hand.
    for (const name of ['em', 'journal', 'vbbm', 'vss']) await rm(`${prefix}_${name}`, { force: true });
    throw error;
  }
  return prefix;
}
