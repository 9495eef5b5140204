import type { MessageInitShape } from '@bufbuild/protobuf';
import { StillpointError, type TableLock } from '@stillpoint/shared/errors';
import { type EngineStandSchema, HoldPhase } from '@stillpoint/shared/proto';
import { type DbrootMap, engineFacts, ownedBy, processesOn } from './engine-builders.ts';

/** The engine of a fake cluster: what all of its nodes share. */
export interface FakeEngine {
  map: DbrootMap;
  configRevision: bigint;
  configSha256: string;
  version: string;
  controller: { pid: number; started: bigint };
  readOnly: boolean;
  /** The block resolution manager was saved since the engine was suspended. */
  saved: boolean;
  /** What a drain finds. */
  locks: readonly TableLock[];
  /** What is there after a resume. */
  stuckLocks: readonly string[];
  readonly modules: FakeModule[];
  /** Starts and stops of processes on all nodes, in order. */
  readonly services: string[];
}

/** One node of it. */
export interface FakeModule {
  readonly id: number;
  readonly node: string;
  readonly shared: FakeEngine;
  /** What lies in each dbroot that it owns: `live`, or the set and the dbroot that was restored; empty for nothing. */
  dbroots: Map<number, string>;
  /** What is loaded into shared memory: the dbroot 1 that it belongs to; empty for nothing. */
  memory: string;
  running: Set<string>;
  cpimport: boolean;
  loadsBrm: boolean;
  /** A controllernode runs here as well, where it does not belong. */
  strayController: boolean;
  /** Its Columnstore.xml is gone, until a restore brings it back. */
  gone: boolean;
  /** Why it is in doubt which module it is; empty when it is not. */
  doubt: string;
  /** What clients have written by now, as this node reads it. */
  sees: () => string;
  /** ConfigRevision of its own Columnstore.xml, when that is not the one of all. */
  configRevision: bigint | undefined;
}

export const fakeEngine = (map: DbrootMap): FakeEngine => ({
  map,
  configRevision: 7n,
  configSha256: 'a'.repeat(64),
  version: '6.4.12',
  controller: { pid: 4_001, started: 100n },
  readOnly: false,
  saved: false,
  locks: [],
  stuckLocks: [],
  modules: [],
  services: [],
});

/** The module that a node is; undefined for one that owns nothing in the map. */
export function fakeModule(node: string, shared: FakeEngine): FakeModule | undefined {
  const id = Number(node.slice(2));
  if (!Object.values(shared.map).includes(id)) return undefined;
  const module: FakeModule = {
    ...{
      id,
      node,
      shared,
      memory: 'live',
      cpimport: false,
      loadsBrm: true,
      strayController: false,
      gone: false,
      doubt: '',
      sees: () => '',
      configRevision: undefined,
    },
    dbroots: new Map(ownedBy(shared.map, id).map((number) => [number, 'live'])),
    running: runningOn(shared.map[1] === id),
  };
  shared.modules.push(module);
  return module;
}

const runningOn = (primary: boolean): Set<string> => new Set(processesOn(primary, true).map(({ name }) => name));

/** Gives dbroots to other modules, with what lies in them, as an administrator would; the engine is started anew for it. */
export function remap(shared: FakeEngine, map: DbrootMap): void {
  const contents = new Map(shared.modules.flatMap(({ dbroots }) => [...dbroots]));
  shared.map = map;
  for (const module of shared.modules) {
    module.dbroots = new Map(ownedBy(map, module.id).map((number) => [number, contents.get(number) ?? '']));
    if (module.running.size > 0) module.running = runningOn(isPrimary(module));
  }
}

export const isPrimary = ({ id, shared }: FakeModule): boolean => shared.map[1] === id;

/** As its agent tells it. */
export function factsOfModule(module: FakeModule) {
  const { configRevision, dbroots, id, loadsBrm, running, shared } = module;
  const revision = { configRevision: configRevision ?? shared.configRevision };
  const facts = engineFacts(id, shared.map, { version: shared.version, ...revision, loadsBrm });
  return {
    ...facts,
    ...(module.doubt === '' ? {} : { module: 0, contradictions: [module.doubt] }),
    dbroots: (facts.dbroots ?? []).map((dbroot) => ({ ...dbroot, bytes: dbroots.get(dbroot.number ?? 0) ? 1_000n : 0n })),
    processes: processesOn(isPrimary(module), true).map(({ name, pid, stage }) => ({ name, stage, pid: running.has(name) ? pid : 0 })),
  };
}

/** How it stands, for SUSPEND and ATTEST. */
export function standOf(module: FakeModule): MessageInitShape<typeof EngineStandSchema> {
  const { configSha256, controller } = module.shared;
  const configRevision = module.configRevision ?? module.shared.configRevision;
  const here = isPrimary(module) || module.strayController ? { controllerPid: controller.pid, controllerStarted: controller.started } : {};
  return { configRevision, configSha256, ...here };
}

/** Brings it to a phase. Gives what is noted in the history of the node. */
export function enterPhase(module: FakeModule, phase: HoldPhase, refuseCpimport: boolean): string {
  const { shared } = module;
  if (phase === HoldPhase.DRAIN) {
    if (module.cpimport && refuseCpimport) throw new StillpointError('CPIMPORT_RUNNING', 'a cpimport runs');
    if (module.cpimport || (isPrimary(module) && shared.locks.length > 0)) {
      throw new StillpointError('DRAIN_TIMEOUT', 'tables stay locked', { tableLocks: isPrimary(module) ? shared.locks : [] });
    }
    return 'drained';
  }
  if (phase === HoldPhase.FLUSH) {
    if (!isPrimary(module) || !shared.readOnly) throw new StillpointError('BRM_FAILED', 'nothing to save here');
    shared.saved = true;
    return 'saved';
  }
  if (!isPrimary(module)) {
    if (!shared.readOnly) throw new StillpointError('SUSPEND_FAILED', 'the engine is not read-only yet');
    return 'confirmed';
  }
  Object.assign(shared, { readOnly: true, saved: false });
  return 'suspended';
}

const namesOf = (module: FakeModule, stage: number): string[] =>
  processesOn(isPrimary(module), true).flatMap((process) => (process.stage === stage ? [process.name] : []));

/** Throws when a process of a stage that `isBefore` picks is not as it should be, on any node. */
function require(shared: FakeEngine, isBefore: (stage: number) => boolean, running: boolean): void {
  for (const module of shared.modules) {
    const wrong = processesOn(isPrimary(module), true).find(({ name, stage }) => isBefore(stage) && module.running.has(name) !== running);
    if (wrong === undefined) continue;
    throw new StillpointError(
      'ENGINE_SERVICE_FAILED',
      `${wrong.name} on ${module.node} ${running ? 'does not run' : 'runs'}: out of order`,
    );
  }
}

/** Stops a stage of its processes; a real engine would not mind the order, but lose what was on its way. */
export function stopStage(module: FakeModule, stage: number, last: boolean): string[] {
  require(module.shared, (other) => other > stage, false);
  const stopped = namesOf(module, stage).filter((name) => module.running.delete(name));
  module.shared.services.push(...stopped.map((name) => `stop ${name} on ${module.node}`));
  if (last) module.memory = '';
  return stopped;
}

export function startStage(module: FakeModule, stage: number): string[] {
  require(module.shared, (other) => other < stage, true);
  // Units load it by themselves.
  if (!module.loadsBrm) module.memory ||= module.shared.modules.find(isPrimary)?.dbroots.get(1) ?? '';
  if (module.memory === '') throw new StillpointError('ENGINE_SERVICE_FAILED', `nothing is loaded on ${module.node}`);
  const started = namesOf(module, stage);
  for (const name of started.filter((each) => !module.running.has(each))) {
    module.running.add(name);
    module.shared.services.push(`start ${name} on ${module.node}`);
  }
  return started;
}

/** Loads what belongs to dbroot 1 of the primary; `fetched` is that of another node. */
export function loadMemory(module: FakeModule, fetched: string | undefined): void {
  if (module.running.size > 0) throw new StillpointError('ENGINE_RUNNING', `the engine runs on ${module.node}`);
  module.memory = fetched ?? module.dbroots.get(1) ?? '';
  module.shared.services.push(`load on ${module.node}`);
}

/** What a server reads: what lies in all dbroots, seen through what is loaded on its node. */
export function readTables({ memory, sees, shared }: FakeModule) {
  const contents = shared.modules.flatMap(({ dbroots }) => [...dbroots]).sort(([a], [b]) => a - b);
  const digest = JSON.stringify([memory, contents, sees()]);
  return [
    { database: 'shop', table: 'facts', rows: 1_000n, digest },
    { database: 'shop', table: 'orders', rows: 10n, digest },
  ];
}
