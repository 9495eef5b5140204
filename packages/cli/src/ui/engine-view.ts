import { type ColumnstoreFacts, ColumnstoreGeneration, EngineMode } from '@stillpoint/shared/proto';

const GENERATIONS: Readonly<Record<number, string>> = {
  [ColumnstoreGeneration.OAM]: '1.0 to 1.2',
  [ColumnstoreGeneration.V1_4]: '1.4',
  [ColumnstoreGeneration.V5]: '5 or 6',
  [ColumnstoreGeneration.V22_08]: '22.08 or later',
};
const MODES: Readonly<Record<number, string>> = {
  [EngineMode.READ_WRITE]: 'read-write',
  [EngineMode.READ_ONLY]: 'read-only',
  [EngineMode.UNREACHABLE]: 'unreachable',
};

/** The engine on a node, as it is written to JSON. */
export const engineView = (engine: ColumnstoreFacts) => ({
  configFile: engine.configFile,
  version: engine.version,
  generation: GENERATIONS[engine.generation] ?? '',
  configRevision: engine.configRevision,
  module: engine.module,
  primaryModule: engine.primaryModule,
  primary: engine.module !== 0 && engine.module === engine.primaryModule,
  controllerHost: engine.controllerHost,
  modules: engine.modules.map(({ id, addresses, hostNames, dbroots, enabled }) => ({ id, addresses, hostNames, dbroots, enabled })),
  dbroots: engine.dbroots.map(({ number, path, owned, bytes, freeBytes, isMountPoint }) => ({
    number,
    path,
    owned,
    bytes,
    freeBytes,
    isMountPoint,
  })),
  dbrmRoot: engine.dbrmRoot,
  storage: engine.storage,
  owner: engine.owner,
  suspendDriver: engine.suspendDriver,
  serviceDriver: engine.serviceDriver,
  mode: MODES[engine.mode] ?? 'unknown',
  status: engine.status,
  ready: engine.ready,
  processes: engine.processes.map(({ name, stage, pid }) => ({ name, stage, pid })),
  contradictions: engine.contradictions,
  missing: engine.missing,
});

export type EngineView = ReturnType<typeof engineView>;
