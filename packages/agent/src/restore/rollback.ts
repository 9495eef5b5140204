import { rm } from 'node:fs/promises';
import { StillpointError } from '@stillpoint/shared/errors';
import type { Agent } from '../agent.ts';
import { exists } from '../host/index.ts';
import type { TaskContext, TaskDefinition } from '../task/types.ts';
import { besideFile } from './configuration.ts';
import { carryOut, wayBack } from './moves.ts';
import { atRest } from './places.ts';
import { noSeams, type Seams } from './seams.ts';
import { serverService, startAndWait } from './server-tasks.ts';
import { datadirOf, loadState, type RestoreState, saveState } from './state.ts';
import { undoSteps } from './steps.ts';
import { refuseRunning } from './target.ts';
import { removeEmpty, removeStages } from './trees.ts';

const START_TIMEOUT_MS = 120_000;

/**
 * Goes back to what was there before the restore: undoes a switch, whole or half, by renames as journaled as its own;
 * or throws staged data away. Restored data that a server may have run on is set aside, not removed. Repeatable.
 * Throws NOTHING_TO_ROLL_BACK, SERVER_RUNNING, SWITCH_FAILED or SERVICE_FAILED. `seams` are for tests.
 */
export const rollbackTaskWith = (seams: Seams): TaskDefinition<'rollback'> => ({
  run: async (agent, { restartServer }, task) => {
    const { stateDir } = agent.config;
    const found = await loadState(stateDir, task.operationId);
    if (found === undefined || ['finishing', 'finished'].includes(found.phase)) {
      throw new StillpointError('NOTHING_TO_ROLL_BACK', `Restore ${task.operationId} is ${found?.phase ?? 'unknown'} on this node`);
    }
    const state = await goBack(agent, found, restartServer, task, seams);
    const datadir = datadirOf(state);
    if (restartServer && datadir !== undefined && (await exists(datadir.live))) await startAndWait(agent, START_TIMEOUT_MS, task.signal);
    const setAside = state.undoneIn[0] ?? '';
    return { result: { case: 'rollback', value: { switchedBack: state.done > 0, setAside } } };
  },
});

/** See `rollbackTaskWith`. */
export const rollbackTask = rollbackTaskWith(noSeams);

async function goBack(
  agent: Agent,
  found: RestoreState,
  stopServer: boolean,
  task: TaskContext,
  { checkpoint, readSettings, engine }: Seams,
): Promise<RestoreState> {
  const { config } = agent;
  const save = (state: RestoreState): Promise<void> => saveState(config.stateDir, state);
  if (found.phase === 'rolled-back') return found;
  let state = found;
  if (!['staging', 'staged'].includes(state.phase)) {
    if (config.mariadb !== undefined) {
      const { driver, place } = await serverService(agent, task.signal, readSettings);
      if (stopServer) await driver.stop(task.signal);
      await refuseRunning({ ...place, datadir: datadirOf(state)?.live ?? place.datadir });
    }
    if (state.columnstore) await engine.refuseRunning(config);
    if (state.phase !== 'rolling-back') state = await begin(state, save);
    await checkpoint('journaled the way back');
    state = await carryOut(state, { save, checkpoint, tell: task.log });
    await clearUp(state);
    // Of the restored data, where the engine ran on it.
    if (state.columnstore) await engine.settle(config, task);
    await checkpoint('cleared up');
  }
  await removeStages(config.stateDir, state);
  state = { ...state, phase: 'rolled-back' };
  await save(state);
  return state;
}

/** A half switch is reversed move by move; over a whole one a server may have run, so what is there now is looked at. */
async function begin(state: RestoreState, save: (state: RestoreState) => Promise<void>): Promise<RestoreState> {
  const way = state.phase === 'switched' ? await undoSteps(state) : { steps: wayBack(state.steps, state.done), undoneIn: [] };
  const back: RestoreState = { ...state, ...way, phase: 'rolling-back', done: 0 };
  await save(back);
  return back;
}

/** Empty directories, and files that were about to be put back. */
async function clearUp({ trees, operationId, keptIn, configuration }: RestoreState): Promise<void> {
  for (const { path } of configuration) await rm(besideFile(path, operationId).coming, { force: true });
  for (const directory of keptIn) await removeEmpty(directory);
  for (const tree of trees.filter(({ layout }) => layout === 'inside')) {
    await removeEmpty(tree.kept);
    await removeEmpty(tree.stage);
    await removeEmpty(atRest(tree));
  }
}
