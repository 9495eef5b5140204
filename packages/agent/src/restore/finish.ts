import { rm } from 'node:fs/promises';
import { StillpointError } from '@stillpoint/shared/errors';
import { directoryBytes } from '../host/index.ts';
import type { TaskContext, TaskDefinition } from '../task/types.ts';
import { besideFile } from './configuration.ts';
import { atRest } from './places.ts';
import { copiesDirectory, loadState, type RestoreState, saveState } from './state.ts';
import { removeEmpty } from './trees.ts';

/**
 * Discards what a restore keeps: the data that was there before a switch, or the restored data that a rollback set
 * aside, and what came into the way of either. Configuration files that were found stay where they are, as `.found-` beside what was put back. Repeatable;
 * from its first moment on there is no way back.
 * Throws RESTORE_REFUSED for a restore that is neither switched nor rolled back.
 */
export const finishTask: TaskDefinition<'finish'> = {
  run: async ({ config: { stateDir } }, _spec, task) => {
    const state = await loadState(stateDir, task.operationId);
    const freed = state === undefined || state.phase === 'finished' ? 0 : await discard(stateDir, state, task);
    return { result: { case: 'finish', value: { freedBytes: BigInt(freed) } } };
  },
};

async function discard(stateDir: string, found: RestoreState, { progress, signal }: TaskContext): Promise<number> {
  if (!['switched', 'rolled-back', 'finishing'].includes(found.phase)) {
    throw new StillpointError('RESTORE_REFUSED', `Restore ${found.operationId} is ${found.phase} on this node: it cannot be finished yet`);
  }
  await saveState(stateDir, { ...found, phase: 'finishing' });
  const directories = [...found.keptIn, ...found.undoneIn, ...found.obstaclesIn];
  let freed = 0;
  for (const directory of directories) {
    freed += await directoryBytes(directory, signal);
    await rm(directory, { recursive: true, force: true });
    progress('discard', freed, 0);
  }
  for (const { path } of found.replaced) await rm(besideFile(path, found.operationId).undone, { force: true });
  await rm(copiesDirectory(stateDir, found.operationId), { recursive: true, force: true });
  for (const tree of found.trees) if (tree.layout === 'inside') await removeEmpty(atRest(tree));
  await saveState(stateDir, { ...found, phase: 'finished' });
  return freed;
}
