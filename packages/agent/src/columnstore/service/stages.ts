import type { EngineServiceConfig } from '../../config/schema.ts';
import type { Engine } from '../types.ts';
import { CMAPI } from './processes.ts';

/** A process of the engine on this node, and when it starts. */
export interface StagedProcess {
  /** Name of its program or unit. */
  readonly name: string;
  /** Those of one stage start together on all nodes, after those of the stage before; they stop the other way round. */
  readonly stage: number;
}

/** Order as the engine needs it, found by experiment on three nodes of 6.4.12. */
const STAGES: readonly (StagedProcess & { readonly where: 'everywhere' | 'primary' })[] = [
  { stage: 1, name: 'workernode', where: 'everywhere' },
  { stage: 2, name: 'controllernode', where: 'primary' },
  { stage: 3, name: 'PrimProc', where: 'everywhere' },
  { stage: 4, name: 'WriteEngineServer', where: 'everywhere' },
  { stage: 5, name: 'ExeMgr', where: 'everywhere' },
  { stage: 6, name: 'DMLProc', where: 'primary' },
  { stage: 7, name: 'DDLProc', where: 'primary' },
];

/** Before 1.4 these may run on modules of their own, and mcsadmin knows where. */
const OF_USER_MODULES: readonly string[] = ['ExeMgr', 'DMLProc', 'DDLProc'];

/** Processes that belong on this node, in the order of their start. Pure. */
export function stagedProcesses(
  { generation, isPrimary, module, topology }: Engine,
  service: EngineServiceConfig,
): readonly StagedProcess[] {
  if (module === 0) return [];
  const here = STAGES.filter(({ name, where }) => (where === 'everywhere' || isPrimary) && !(name === 'ExeMgr' && generation === '22.08'));
  if (service.driver === 'commands') return here.map(({ name, stage }) => ({ name, stage }));
  if (service.driver === 'mcsadmin')
    return here.filter(({ name }) => !OF_USER_MODULES.includes(name)).map(({ name }) => ({ name, stage: 1 }));
  // One call starts and stops all of them, on one node or on all; cmapi, which carries that out, comes before and goes after.
  const byCmapi = service.driver === 'systemd' && topology.managedByCmapi;
  const all = here.map(({ name }) => ({ name, stage: byCmapi ? 2 : 1 }));
  return byCmapi ? [{ name: CMAPI, stage: 1 }, ...all] : all;
}

/** True when the agent itself has to load the block resolution manager before a start; units and mcsadmin do so themselves. */
export const loadsBrm = (service: EngineServiceConfig): boolean => service.driver === 'commands';
