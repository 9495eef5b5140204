import { realpath } from 'node:fs/promises';
import { create } from '@bufbuild/protobuf';
import { toStillpointError } from '@stillpoint/shared/errors';
import { type ColumnstoreFacts, ColumnstoreFactsSchema, ColumnstoreGeneration, EngineMode } from '@stillpoint/shared/proto';
import type { AgentConfig } from '../config/schema.ts';
import { accountName, directoryBytes, exists, freeBytes, isMountPoint } from '../host/index.ts';
import { findClonePlace } from './dbroot/index.ts';
import { type FindRunning, findConfig, missingHere, openEngine } from './discovery/index.ts';
import { runningProcesses } from './service/processes.ts';
import { loadsBrm, stagedProcesses } from './service/stages.ts';
import { chooseDriver, readEngineStatus } from './suspend/index.ts';
import type { Engine, EngineStatus, Generation } from './types.ts';

const GENERATIONS: Readonly<Record<Generation, ColumnstoreGeneration>> = {
  oam: ColumnstoreGeneration.OAM,
  '1.4': ColumnstoreGeneration.V1_4,
  '5': ColumnstoreGeneration.V5,
  '22.08': ColumnstoreGeneration.V22_08,
};
const MODES: Readonly<Record<EngineStatus['mode'], EngineMode>> = {
  'read-write': EngineMode.READ_WRITE,
  'read-only': EngineMode.READ_ONLY,
  unreachable: EngineMode.UNREACHABLE,
  unknown: EngineMode.UNSPECIFIED,
};

/**
 * Describes the engine of this node; undefined when there is none. Changes nothing, but for a small file in each dbroot that is removed again: only
 * that tells whether files can be cloned there. A configuration that makes no sense is told as a contradiction: who describes a node wants to see
 * the rest of it too. `find` looks for processes; tests pass one of their own. Throws the signal's reason.
 */
export async function describeColumnstore(
  config: AgentConfig,
  signal: AbortSignal,
  find: FindRunning = runningProcesses,
): Promise<ColumnstoreFacts | undefined> {
  let engine: Engine | undefined;
  try {
    engine = await openEngine(config, find);
  } catch (thrown) {
    const { message } = toStillpointError(thrown);
    const found = await findConfig(config.columnstore).catch(() => undefined);
    return create(ColumnstoreFactsSchema, { configFile: found?.file ?? config.columnstore.config, contradictions: [message] });
  }
  return engine === undefined ? undefined : factsOf(engine, config, find, signal);
}

async function factsOf(
  engine: Engine,
  { columnstore, repository }: AgentConfig,
  find: FindRunning,
  signal: AbortSignal,
): Promise<ColumnstoreFacts> {
  const { topology, version, configFile, module, generation } = engine;
  const [status, dbroots, processes, owner, missing] = await Promise.all([
    readEngineStatus(engine, columnstore, signal),
    dbrootsOf(engine, repository, signal),
    processesOf(engine, columnstore, find),
    accountName(engine.owner),
    missingHere(engine, find),
  ]);
  return create(ColumnstoreFactsSchema, {
    configFile,
    version,
    generation: GENERATIONS[generation],
    configRevision: BigInt(topology.configRevision),
    modules: topology.modules.map(({ id, addresses, hostNames, dbroots: owned, enabled }) => ({
      id,
      addresses: [...addresses],
      hostNames: [...hostNames],
      dbroots: [...owned],
      enabled,
    })),
    dbroots,
    module,
    primaryModule: topology.primaryModule,
    controllerHost: topology.controllerHost,
    dbrmRoot: topology.dbrmRoot,
    storage: topology.storage,
    owner,
    suspendDriver: chooseDriver(engine, columnstore),
    serviceDriver: columnstore.service.driver,
    mode: MODES[status.mode],
    status: status.text,
    ready: status.ready,
    processes,
    loadsBrm: loadsBrm(columnstore.service),
    contradictions: [...engine.contradictions],
    missing,
  });
}

type DbrootFacts = ColumnstoreFacts['dbroots'][number];
type Init<T> = Omit<T, '$typeName' | '$unknown'>;

async function dbrootsOf({ topology, owned }: Engine, repository: string, signal: AbortSignal): Promise<Init<DbrootFacts>[]> {
  const here = new Set(owned.map(({ number }) => number));
  return Promise.all(
    [...topology.dbroots].map(async ([number, path]) => {
      if (!here.has(number)) return { number, path, owned: false, bytes: 0n, freeBytes: 0n, isMountPoint: false, reflinkObstacle: '' };
      const [bytes, free, mounted, reflinkObstacle] = await Promise.all([
        seen(directoryBytes(path, signal), 0, signal),
        seen(freeBytes(path), 0, signal),
        seen(isThereAndMounted(path), false, signal),
        reflinkObstacleOf(path, repository).catch((error: unknown) => `${path} cannot be looked at: ${(error as Error).message}`),
      ]);
      return { number, path, owned: true, bytes: BigInt(bytes), freeBytes: BigInt(free), isMountPoint: mounted, reflinkObstacle };
    }),
  );
}

/** Why files of a dbroot cannot be cloned, a sentence; empty when they can. Throws the system's error. */
async function reflinkObstacleOf(path: string, repository: string): Promise<string> {
  const place = await findClonePlace(await realpath(path), repository);
  return 'obstacle' in place ? place.obstacle : '';
}

const isThereAndMounted = async (path: string): Promise<boolean> => (await exists(path)) && isMountPoint(path);

/** A dbroot that cannot be looked into is told as missing; the rest of the node is told all the same. */
const seen = <T>(looking: Promise<T>, otherwise: T, signal: AbortSignal): Promise<T> =>
  looking.catch(() => {
    signal.throwIfAborted();
    return otherwise;
  });

async function processesOf(
  engine: Engine,
  { service }: AgentConfig['columnstore'],
  find: FindRunning,
): Promise<Init<ColumnstoreFacts['processes'][number]>[]> {
  const staged = stagedProcesses(engine, service);
  const running = await find(staged.map(({ name }) => name));
  return staged.map(({ name, stage }) => ({ name, stage, pid: running.find((process) => process.name === name)?.pid ?? 0 }));
}
