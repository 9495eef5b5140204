import { rm } from 'node:fs/promises';
import { StillpointError } from '@stillpoint/shared/errors';
import type { Agent } from '../agent.ts';
import { exists } from '../host/index.ts';
import type { ServerSettings } from '../mariadb/settings.ts';
import type { TaskContext, TaskDefinition } from '../task/types.ts';
import { carryOut, putAside, type Surroundings } from './moves.ts';
import { makeNeededDirectories } from './needed.ts';
import { atRest, isWithin, realDatadir } from './places.ts';
import { requireStages } from './required.ts';
import { noSeams, type Seams } from './seams.ts';
import { DATADIR, datadirOf, type LogPaths, loadState, type Move, type RestoreState, saveState, type Tree } from './state.ts';
import { configurationSteps, dataSteps, outsideLogs } from './steps.ts';
import { syncTrees } from './sync.ts';
import { mariadbOf, optionFileSettings, refuseRunning } from './target.ts';

/**
 * Puts the staged data in the place of the live data: renames only, each journaled, so that after a crash the same
 * task goes on and the rollback task goes back. What was there is kept. `seams` are for tests.
 */
export const switchTaskWith = (seams: Seams): TaskDefinition<'switch'> => ({
  run: async (agent, _spec, task) => {
    const { stateDir } = agent.config;
    const state = await loadState(stateDir, task.operationId);
    if (state === undefined || !['staged', 'switching', 'switched'].includes(state.phase)) {
      throw new StillpointError(
        'RESTORE_REFUSED',
        `Restore ${task.operationId} is ${state?.phase ?? 'unknown'} here: there is nothing to switch`,
      );
    }
    const switched = state.phase === 'switched' ? state : await doSwitch(agent, state, task, seams);
    const configuration = switched.replaced.map(({ path }) => path);
    return { result: { case: 'switch', value: { kept: [...switched.keptIn], configuration } } };
  },
});

/** See `switchTaskWith`. */
export const switchTask = switchTaskWith(noSeams);

async function doSwitch(
  agent: Agent,
  staged: RestoreState,
  task: TaskContext,
  { checkpoint, readSettings, syncFileSystem, engine }: Seams,
): Promise<RestoreState> {
  const { config } = agent;
  const save = (state: RestoreState): Promise<void> => saveState(config.stateDir, state);
  const around = { save, checkpoint, tell: task.log };
  const settingsNow = async (): Promise<ServerSettings | undefined> =>
    datadirOf(staged) === undefined ? undefined : optionFileSettings(mariadbOf(agent), task.signal, readSettings);
  const before = await settingsNow();
  await refuseRunningServer(agent, staged, before);
  if (staged.columnstore) await engine.refuseRunning(config);
  task.signal.throwIfAborted();

  let state = staged.phase === 'switching' ? staged : await beginWithConfiguration(agent, staged, before, save);
  await checkpoint('journaled the configuration');
  if (state.complete) state = await putLateLogsAside(state, around);
  state = await carryOut(state, around);
  const settings = await settingsNow();
  if (!state.complete) {
    state = await continueWithData(state, settings, save);
    await checkpoint('journaled the data');
    state = await carryOut(state, around);
  }
  await settle(state, settings);
  if (state.columnstore) await engine.settle(config, task);
  await syncTrees(
    state.trees.map(({ live }) => live),
    'SWITCH_FAILED',
    undefined,
    syncFileSystem,
  );
  await checkpoint('settled');
  state = { ...state, phase: 'switched' };
  await save(state);
  return state;
}

/** A server of this node, also one whose data stays as it is: it would look for tables in dbroots that are not theirs. */
async function refuseRunningServer({ config }: Agent, state: RestoreState, settings: ServerSettings | undefined): Promise<void> {
  if (config.mariadb === undefined) return;
  await refuseRunning({ socket: config.mariadb.socket, pidFile: settings?.pidFile ?? '', datadir: datadirOf(state)?.live });
}

async function beginWithConfiguration(
  { config }: Agent,
  staged: RestoreState,
  settings: ServerSettings | undefined,
  save: (state: RestoreState) => Promise<void>,
): Promise<RestoreState> {
  await requireStages(staged);
  const { steps, replaced } = await configurationSteps(staged, config.configuration);
  const state: RestoreState = { ...staged, phase: 'switching', steps, replaced, logs: logPaths(settings), done: 0, complete: false };
  await save(state);
  return state;
}

const logPaths = (settings: ServerSettings | undefined): LogPaths[] => {
  if (settings === undefined) return [];
  const { logBinBasename, logBinIndex, relayLogBasename } = settings;
  return [{ logBinBasename, logBinIndex, relayLogBasename }];
};

/** What moves besides the trees depends on the configuration: on that which was found, and on that which is back. */
async function continueWithData(
  state: RestoreState,
  settings: ServerSettings | undefined,
  save: (state: RestoreState) => Promise<void>,
): Promise<RestoreState> {
  const datadir = datadirOf(state);
  // Once more, and before anything is made in it.
  await requireStages(state);
  if (datadir !== undefined) await prepareDatadir(datadir, settings);
  const placed: RestoreState = { ...state, logs: [...state.logs, ...logPaths(settings)] };
  const { steps, keptIn } = await dataSteps(placed);
  const next: RestoreState = { ...placed, steps: [...state.steps, ...steps], keptIn, complete: true };
  await save(next);
  return next;
}

async function prepareDatadir(datadir: Tree, settings: ServerSettings | undefined): Promise<void> {
  if (settings === undefined) throw new StillpointError('SWITCH_FAILED', 'There is no option file of the server, and none came back');
  if ((await realDatadir(settings.datadir)) !== datadir.live) {
    throw new StillpointError(
      'SWITCH_FAILED',
      `The option file names the data directory ${settings.datadir}, but the restore was staged for ${datadir.live}`,
    );
  }
  await makeNeededDirectories(datadir, settings);
}

/** Logs of a server that ran between a crash and now, on data that is not the restored one, which would go on with them. */
async function putLateLogsAside(half: RestoreState, around: Surroundings): Promise<RestoreState> {
  const datadir = datadirOf(half);
  if (datadir === undefined) return half;
  const ahead = half.steps
    .slice(half.done)
    .flat()
    .filter((move) => !isOfOthers(half, move));
  // With all but our own directory in its place, what ran was the restored data: its logs are right.
  const left = ahead.filter(({ to }) => to !== atRest(datadir)).map(({ from }) => exists(from));
  if (!(await Promise.all(left)).includes(true)) return half;
  let state = half;
  for (const file of await outsideLogs(datadir.live, half.logs)) {
    if (!ahead.some(({ from }) => from === file)) state = await putAside(state, file, around);
  }
  return state;
}

/** True for a move of a tree that is not the server's. */
function isOfOthers({ trees }: RestoreState, { from, to }: Move): boolean {
  const others = trees.filter(({ name }) => name !== DATADIR).flatMap(({ live, stage, kept }) => [live, stage, kept]);
  return others.some((directory) => isWithin(from, directory) || isWithin(to, directory));
}

/** What the old server left that would mislead the new one, and what the stage left behind. */
async function settle({ trees }: RestoreState, settings: ServerSettings | undefined): Promise<void> {
  if (settings !== undefined && settings.pidFile !== '') await rm(settings.pidFile, { force: true });
  // What is of no use is left in it: a directory that only was a database to mariadb-backup.
  for (const { layout, stage } of trees) if (layout === 'inside') await rm(stage, { recursive: true, force: true });
}
