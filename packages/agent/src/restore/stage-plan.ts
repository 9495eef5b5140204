import { StillpointError } from '@stillpoint/shared/errors';
import { stagingBytes } from '@stillpoint/shared/manifest';
import type { StageTask } from '@stillpoint/shared/proto';
import type { Agent } from '../agent.ts';
import { isColumnstore } from '../mariadb/columnstore.ts';
import type { TaskContext } from '../task/types.ts';
import { type PlannedDbroot, planDbroots } from './dbroots/fit.ts';
import { refuseOtherPartitions } from './dbroots/partitions.ts';
import { type EngineTarget, findEngine } from './dbroots/target.ts';
import { dbrootBytes, engineTrees } from './dbroots/trees.ts';
import { choosePlaces, futureOwner } from './places.ts';
import type { Sources } from './sources.ts';
import type { PlannedServer } from './stage-server.ts';
import { DATADIR, newState, type RestoreState, type Tree } from './state.ts';
import { findTarget } from './target.ts';
import { missingAbove, refuseNested, requireSpace } from './trees.ts';

/** The dbroots of a node, and where they go. */
export interface PlannedEngine {
  readonly target: EngineTarget;
  readonly trees: readonly Tree[];
  readonly dbroots: readonly PlannedDbroot[];
}

/** What is staged, and where; nothing of it is made yet. */
export interface StagePlan {
  readonly state: RestoreState;
  readonly server: PlannedServer | undefined;
  readonly engine: PlannedEngine | undefined;
}

/**
 * Everything that can be seen to before anything is made: what fits where, and that there is room.
 * Throws RESTORE_REFUSED, SPACE_SHORT, COLUMNSTORE_CONFIG, or what finding the server throws.
 */
export async function planStage(agent: Agent, spec: StageTask, sources: Sources, task: TaskContext): Promise<StagePlan> {
  const { operationId } = task;
  const server = await planServer(agent, spec, sources, task);
  const engine = await planEngine(agent, spec, sources, task);
  const trees = [...(server === undefined ? [] : [server.tree]), ...(engine?.trees ?? [])];
  refuseNested(trees);
  const ofServer = server === undefined ? [] : [{ tree: server.tree, bytes: stagingBytes(server.source.part.mariadb?.dataBytes ?? 0) }];
  const ofEngine = engine?.trees.map((tree) => ({ tree, bytes: dbrootBytes(tree, engine.dbroots) })) ?? [];
  await requireSpace([...ofServer, ...ofEngine]);
  const { setId, partSha256, gtidPosition, columnstore } = spec;
  const made = await missingAbove(trees);
  const columnstoreTables = columnstoreTablesOf(server);
  const state = newState({
    ...{ operationId, setId, partSha256, dbroots: dbrootsOf(spec), columnstore, columnstoreTables, trees, made, gtidPosition },
  });
  return { state, server, engine };
}

/** What a task says of dbroots, as it is journaled. */
export const dbrootsOf = ({ dbroots, emptyDbroots }: StageTask): RestoreState['dbroots'] =>
  [
    ...dbroots.map(({ number, partSha256 }) => ({ number, partSha256 })),
    ...emptyDbroots.map((number) => ({ number, partSha256: '' })),
  ].toSorted((a, b) => a.number - b.number);

/** What the engine must show after the restore, whatever the server finds defined then. */
const columnstoreTablesOf = (server: PlannedServer | undefined): RestoreState['columnstoreTables'] =>
  (server?.source.part.unproven ?? [])
    .filter(({ engine }) => engine !== undefined && isColumnstore(engine))
    .map(({ database, table }) => ({ database, table }));

async function planServer(
  agent: Agent,
  { restoreConfiguration, gtidPosition, prepareMemoryBytes }: StageTask,
  { image, own }: Sources,
  { operationId, signal }: TaskContext,
): Promise<PlannedServer | undefined> {
  if (image === undefined) return undefined;
  const { config, datadir } = await findTarget(agent, restoreConfiguration ? own?.part : undefined, signal);
  const tree = { ...(await choosePlaces(DATADIR, datadir, operationId)), ...(await futureOwner(datadir)) };
  return { source: image, tree, defaultsFile: config.defaultsFile, gtidPosition, memoryBytes: Number(prepareMemoryBytes) };
}

async function planEngine(
  { config }: Agent,
  spec: StageTask,
  { own, dbroots: sources }: Sources,
  { operationId, signal }: TaskContext,
): Promise<PlannedEngine | undefined> {
  if (!spec.columnstore) {
    if (dbrootsOf(spec).length === 0) return undefined;
    throw new StillpointError('USAGE', 'The task names dbroots and says that this is no node of the engine');
  }
  const target = await findEngine(config, own?.part, spec.restoreConfiguration);
  const dbroots = planDbroots(spec, target, sources);
  await refuseOtherPartitions(target, sources.values(), signal);
  return { target, dbroots, trees: await engineTrees(target, operationId) };
}
