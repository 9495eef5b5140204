import { chmod, chown, mkdir, rm, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { StillpointError } from '@stillpoint/shared/errors';
import { LAYOUT, type PartManifest, type Shard, stagingBytes } from '@stillpoint/shared/manifest';
import type { StageTask } from '@stillpoint/shared/proto';
import type { Agent } from '../agent.ts';
import { directoryBytes, exists, freeBytes, killLeftBehind, ownAccount } from '../host/index.ts';
import type { TaskContext, TaskDefinition } from '../task/types.ts';
import { copyConfiguration } from './configuration.ts';
import { stagingFailure } from './disk-full.ts';
import { extractImage } from './extract.ts';
import { atRest, choosePlaces, futureOwner, runAs } from './places.ts';
import { prepareImage } from './prepare.ts';
import { withPrivateServer } from './private-server.ts';
import { type Proof, proveTables, setPosition } from './prove.ts';
import { openOwnPart, openPart, type PartSource } from './source.ts';
import { copiesDirectory, loadState, type RestoreState, removeState, saveState, unfinishedRestore } from './state.ts';
import { syncFileSystem } from './sync.ts';
import { findTarget, type Target } from './target.ts';

/**
 * Brings a part beside the live data, which it does not touch: extracted with every byte checked, prepared, given its
 * GTID position, proven by checksums. What is already staged is found again; half a stage is worth nothing and begun
 * again. Whatever goes wrong, nothing of it is left.
 */
export const stageTask: TaskDefinition<'stage'> = {
  run: async (agent, spec, task) => {
    const { stateDir } = agent.config;
    const before = await loadState(stateDir, task.operationId);
    const state = before === undefined || before.phase === 'staging' ? await stage(agent, spec, task, before) : foundAgain(before, spec);
    const { bytes, tablesEqual, tablesUnproven } = state.staged;
    return { result: { case: 'stage', value: { path: state.places.stage, bytes: BigInt(bytes), tablesEqual, tablesUnproven } } };
  },
  recover: async ({ config }, _spec, operationId) => {
    const state = await loadState(config.stateDir, operationId);
    if (state?.phase === 'staging') await discardStage(config.stateDir, state);
  },
};

function foundAgain(state: RestoreState, { setId, partSha256 }: StageTask): RestoreState {
  if (state.setId === setId && state.partSha256 === partSha256 && ['staged', 'switching', 'switched'].includes(state.phase)) return state;
  throw new StillpointError(
    'RESTORE_REFUSED',
    `Restore ${state.operationId} of set ${state.setId} is ${state.phase} here; it cannot be staged again`,
  );
}

async function stage(agent: Agent, spec: StageTask, task: TaskContext, half: RestoreState | undefined): Promise<RestoreState> {
  const { config } = agent;
  if (half !== undefined) await discardStage(config.stateDir, half);
  const other = await unfinishedRestore(config.stateDir);
  if (other !== undefined)
    throw new StillpointError('RESTORE_UNFINISHED', `Restore ${other} of this node was neither finished nor rolled back`);
  const source = await openPart(config, spec, task.signal);
  try {
    const own = spec.restoreConfiguration ? await openConfiguration(agent, spec, source) : undefined;
    const target = await findTarget(agent, own?.part, task.signal);
    const state = await begin(agent, spec, task, target, source.part);
    try {
      return await fill(agent, spec, task, { state, target, source, own });
    } catch (error) {
      const failure = await stagingFailure(error, state.places.stage);
      await discardStage(config.stateDir, state);
      throw failure;
    }
  } finally {
    source.close();
  }
}

/** The part whose configuration files come back: always this node's own. */
const openConfiguration = async ({ config }: Agent, spec: StageTask, source: PartSource): Promise<PartSource> =>
  spec.sourceNode === config.node ? source : openOwnPart(config, spec.setId, config.node, spec.ownPartSha256);

/** Checks that there is room, and journals what is about to be made before it is. */
async function begin(
  { config }: Agent,
  spec: StageTask,
  task: TaskContext,
  { datadir }: Target,
  part: PartManifest,
): Promise<RestoreState> {
  const places = await choosePlaces(datadir, task.operationId);
  const need = stagingBytes(part.mariadb?.dataBytes ?? 0);
  const free = await freeBytes(dirname(places.stage));
  if (free < need) {
    throw new StillpointError(
      'SPACE_SHORT',
      `Staging needs ${need} bytes beside the live data in ${dirname(places.stage)}, and ${free} are free`,
    );
  }
  const state: RestoreState = {
    format: 'stillpoint-restore/1',
    operationId: task.operationId,
    setId: spec.setId,
    partSha256: spec.partSha256,
    phase: 'staging',
    places,
    ...(await futureOwner(datadir)),
    gtidPosition: spec.gtidPosition,
    staged: { bytes: 0, tablesEqual: 0, tablesUnproven: [] },
    configuration: [],
    steps: [],
    done: 0,
    complete: false,
    logs: [],
    keptIn: [],
    undoneIn: [],
    obstaclesIn: [],
    replaced: [],
  };
  await saveState(config.stateDir, state);
  return state;
}

interface Work {
  readonly state: RestoreState;
  readonly target: Target;
  readonly source: PartSource;
  readonly own: PartSource | undefined;
}

async function fill(agent: Agent, spec: StageTask, task: TaskContext, { state, target, source, own }: Work): Promise<RestoreState> {
  const { stateDir, configuration: configured } = agent.config;
  const { stage: directory } = state.places;
  const shard = imageOf(source.part);
  await makeStage(state);
  task.log(`reading ${shard.name} of set ${spec.setId} from ${source.where}`);
  let extracted = 0;
  await extractImage(source, shard, { directory, runAs: runAs(state.owner) }, task.signal, (bytes) => {
    extracted += bytes;
    task.progress('extract', extracted, shard.storedBytes);
  });
  task.progress('prepare', 0, 0);
  await prepareImage(directory, Number(spec.prepareMemoryBytes), runAs(state.owner), task.signal);
  const proof = await prove(agent, state, target, source.part, task);
  const copies =
    own === undefined ? undefined : await copyConfiguration(own, copiesDirectory(stateDir, state.operationId), configured, task.signal);
  for (const path of copies?.skipped ?? []) task.log(`${path} is not put back: this agent's configuration does not list it`);
  const staged: RestoreState = {
    ...state,
    phase: 'staged',
    staged: { bytes: await directoryBytes(directory, task.signal), ...proof },
    configuration: copies?.files ?? [],
  };
  // The journal outlives a power cut; so must what it speaks of.
  await syncFileSystem(directory, 'STAGE_FAILED', task.signal);
  await saveState(stateDir, staged);
  return staged;
}

function imageOf({ node, shards }: PartManifest): Shard {
  const shard = shards.find(({ content }) => content === 'mariadb-full');
  if (shard === undefined) throw new StillpointError('MANIFEST_INVALID', `${LAYOUT.partManifest} of ${node} names no image of a server`);
  return shard;
}

/** Opens the image with a server that nobody else can reach: what cannot be opened or is not what it was is found before anything is stopped. */
async function prove(agent: Agent, state: RestoreState, { config }: Target, part: PartManifest, task: TaskContext): Promise<Proof> {
  const proof: Proof[] = [];
  const server = {
    directory: state.places.stage,
    defaultsFile: config.defaultsFile,
    owner: state.owner,
    clock: agent.clock,
    signal: task.signal,
  };
  await withPrivateServer(server, async (session) => {
    await setPosition(session, state.gtidPosition, task.signal);
    // Progress is in bytes, and tables of unknown size are none.
    proof.push(await proveTables(session, part, task.signal, () => task.progress('checksum', 0, 0)));
  });
  return proof[0] ?? { tablesEqual: 0, tablesUnproven: [] };
}

/** Makes the directory; those above it that are ours too belong to the owner of the data, who must be able to pass. */
async function makeStage({ places, owner, mode }: RestoreState): Promise<void> {
  const { layout, datadir, stage: directory } = places;
  const ours = layout === 'inside' ? [join(datadir, 'mysql'), atRest(datadir), directory] : [directory];
  await mkdir(dirname(ours[0] ?? directory), { recursive: true });
  for (const each of ours) {
    if (await exists(each)) continue;
    await mkdir(each, { mode: 0o700 });
    if (ownAccount().uid === 0) await chown(each, owner.uid, owner.gid);
  }
  // Its own from the start: it will be the data directory.
  if (layout === 'beside') await chmod(directory, mode);
}

const PROGRAMS = ['mariadbd', 'mysqld', 'mariadb-backup', 'mariabackup', 'mbstream'];

/** Removes whatever was staged and its journal, and ends what an agent that was killed left working on it. */
async function discardStage(stateDir: string, state: RestoreState): Promise<void> {
  await removeStage(stateDir, state);
  await removeState(stateDir, state.operationId);
}

/** Removes whatever was staged; the journal stays. */
export async function removeStage(stateDir: string, { places, operationId }: RestoreState): Promise<void> {
  await killLeftBehind(PROGRAMS, places.stage);
  await rm(places.stage, { recursive: true, force: true });
  await rm(copiesDirectory(stateDir, operationId), { recursive: true, force: true });
  if (places.layout === 'inside') await removeEmpty(atRest(places.datadir));
}

/** Removes a directory of ours once nothing of any restore is left in it. */
export async function removeEmpty(directory: string): Promise<void> {
  await rmdir(directory).catch(() => undefined);
}
