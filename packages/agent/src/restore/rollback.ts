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
import { removeEmpty, removeStage } from './stage.ts';
import { loadState, type RestoreState, saveState } from './state.ts';
import { undoSteps } from './steps.ts';
import { refuseRunning } from './target.ts';

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
    if (restartServer && (await exists(state.places.datadir))) await startAndWait(agent, START_TIMEOUT_MS, task.signal);
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
  { signal, log }: TaskContext,
  { checkpoint, readSettings }: Seams,
): Promise<RestoreState> {
  const { stateDir } = agent.config;
  const save = (state: RestoreState): Promise<void> => saveState(stateDir, state);
  if (found.phase === 'rolled-back') return found;
  let state = found;
  if (!['staging', 'staged'].includes(state.phase)) {
    const { driver, place } = await serverService(agent, signal, readSettings);
    if (stopServer) await driver.stop(signal);
    await refuseRunning({ ...place, datadir: state.places.datadir });
    if (state.phase !== 'rolling-back') state = await begin(state, save);
    await checkpoint('journaled the way back');
    state = await carryOut(state, { save, checkpoint, tell: log });
    await clearUp(state);
    await checkpoint('cleared up');
  }
  await removeStage(stateDir, state);
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
async function clearUp({ places, operationId, keptIn, configuration }: RestoreState): Promise<void> {
  for (const { path } of configuration) await rm(besideFile(path, operationId).coming, { force: true });
  for (const directory of keptIn) await removeEmpty(directory);
  if (places.layout === 'inside') {
    await removeEmpty(places.kept);
    await removeEmpty(places.stage);
    await removeEmpty(atRest(places.datadir));
  }
}
