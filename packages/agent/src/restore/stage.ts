import { StillpointError } from '@stillpoint/shared/errors';
import type { StageTask } from '@stillpoint/shared/proto';
import type { Agent } from '../agent.ts';
import { directoryBytes } from '../host/index.ts';
import { together } from '../task/together.ts';
import type { TaskContext, TaskDefinition } from '../task/types.ts';
import { stageDbroots } from './dbroots/stage.ts';
import { stagingFailure } from './disk-full.ts';
import { pendingFiles } from './pending.ts';
import type { Proof } from './prove.ts';
import { openSources, type Sources } from './sources.ts';
import { dbrootsOf, planStage, type StagePlan } from './stage-plan.ts';
import { stageServer } from './stage-server.ts';
import { loadState, type RestoreState, removeState, saveState, unfinishedRestore } from './state.ts';
import { syncTrees } from './sync.ts';
import { makeStages, removeStages } from './trees.ts';

/**
 * Brings parts beside the live data, which it does not touch: every byte checked, the image of the server prepared, given its
 * GTID position, proven by checksums. What is already staged is found again; half a stage is worth nothing and begun
 * again. Whatever goes wrong, nothing of it is left.
 */
export const stageTask: TaskDefinition<'stage'> = {
  run: async (agent, spec, task) => {
    const { stateDir } = agent.config;
    const before = await loadState(stateDir, task.operationId);
    const state = before === undefined || before.phase === 'staging' ? await stage(agent, spec, task, before) : foundAgain(before, spec);
    const { bytes, tablesEqual, tablesUnproven } = state.staged;
    const path = state.trees[0]?.stage ?? '';
    return { result: { case: 'stage', value: { path, bytes: BigInt(bytes), tablesEqual, tablesUnproven } } };
  },
  recover: async ({ config }, _spec, operationId) => {
    const state = await loadState(config.stateDir, operationId);
    if (state?.phase === 'staging') await discardStage(config.stateDir, state);
  },
};

function foundAgain(state: RestoreState, spec: StageTask): RestoreState {
  const isSame =
    state.setId === spec.setId &&
    state.partSha256 === spec.partSha256 &&
    JSON.stringify(state.dbroots) === JSON.stringify(dbrootsOf(spec)) &&
    ['staged', 'switching', 'switched'].includes(state.phase);
  if (isSame) return state;
  throw new StillpointError(
    'RESTORE_REFUSED',
    `Restore ${state.operationId} of set ${state.setId} is ${state.phase} here; it cannot be staged again`,
  );
}

async function stage(agent: Agent, spec: StageTask, task: TaskContext, half: RestoreState | undefined): Promise<RestoreState> {
  const { stateDir } = agent.config;
  if (half !== undefined) await discardStage(stateDir, half);
  const other = await unfinishedRestore(stateDir);
  if (other !== undefined)
    throw new StillpointError('RESTORE_UNFINISHED', `Restore ${other} of this node was neither finished nor rolled back`);
  const sources = await openSources(agent.config, spec, task.signal);
  try {
    const plan = await planStage(agent, spec, sources, task);
    // Journaled before it is made.
    await saveState(stateDir, plan.state);
    try {
      return await fill(agent, spec, task, plan, sources);
    } catch (error) {
      const failure = await stagingFailure(error, plan.state.trees);
      await discardStage(stateDir, plan.state);
      throw failure;
    }
  } finally {
    sources.close();
  }
}

const NOTHING_PROVEN: Proof = { tablesEqual: 0, tablesUnproven: [] };

async function fill(agent: Agent, spec: StageTask, task: TaskContext, plan: StagePlan, sources: Sources): Promise<RestoreState> {
  const { state, server, engine } = plan;
  const { stateDir } = agent.config;
  await makeStages(state);
  const [proof] = await together<[Proof, undefined]>(task.signal, [
    async (signal) => (server === undefined ? NOTHING_PROVEN : stageServer(agent, server, { ...task, signal })),
    async (signal) => {
      if (engine !== undefined) await stageDbroots(engine, { ...task, signal });
      return undefined;
    },
  ]);
  const sizes = await Promise.all(state.trees.map((tree) => directoryBytes(tree.stage, task.signal)));
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  const configuration = await pendingFiles(agent.config, spec, sources.own, engine?.target, task);
  const staged: RestoreState = { ...state, phase: 'staged', staged: { bytes, ...proof }, configuration };
  // The journal outlives a power cut; so must what it speaks of.
  await syncTrees(
    state.trees.map((tree) => tree.stage),
    'STAGE_FAILED',
    task.signal,
  );
  await saveState(stateDir, staged);
  return staged;
}

/** Removes whatever was staged and its journal. */
async function discardStage(stateDir: string, state: RestoreState): Promise<void> {
  await removeStages(stateDir, state);
  await removeState(stateDir, state.operationId);
}
