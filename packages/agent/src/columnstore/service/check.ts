import { StillpointError } from '@stillpoint/shared/errors';
import type { ColumnstoreConfig } from '../../config/schema.ts';
import { findProgram, ProgramFailure, runProgram } from '../../process/index.ts';
import { engineProgram } from '../engine/program.ts';
import { readKey } from '../suspend/cmapi/key.ts';
import type { Engine } from '../types.ts';
import { CMAPI_UNIT, ENGINE_UNIT } from './unit.ts';

const LOOK_MS = 10_000;

/**
 * Sees to it that the engine could be started and stopped, without doing either: the programs are there, or systemd knows the unit. Gives
 * what will be called. Throws ENGINE_SERVICE_FAILED, COLUMNSTORE_CONFIG (no key for cmapi) or the signal's reason.
 */
export async function checkEngineService(engine: Engine, config: ColumnstoreConfig, signal?: AbortSignal): Promise<string> {
  const { service } = config;
  switch (service.driver) {
    case 'commands': {
      const [start = '', stop = ''] = await Promise.all([found(service.start[0] ?? ''), found(service.stop[0] ?? '')]);
      return `Each process started by ${start}, stopped by ${stop}`;
    }
    case 'mcsadmin':
      return `The whole system started and stopped by ${await found(engineProgram(engine, 'mcsadmin'))} on its parent module`;
    case 'systemd':
      return engine.topology.managedByCmapi ? checkCluster(config, signal) : checkSingle(engine, signal);
  }
}

async function checkCluster({ cmapi }: ColumnstoreConfig, signal: AbortSignal | undefined): Promise<string> {
  await requireUnit(CMAPI_UNIT, signal);
  await readKey(cmapi.configFile);
  return `Started and stopped by cmapi at ${cmapi.url}, which is the unit ${CMAPI_UNIT}`;
}

async function checkSingle({ topology: { modules } }: Engine, signal: AbortSignal | undefined): Promise<string> {
  if (modules.length > 1) {
    throw unworkable(`systemd starts an engine of ${modules.length} modules through cmapi, which does not manage this one`);
  }
  await requireUnit(ENGINE_UNIT, signal);
  return `Started and stopped by systemctl, unit ${ENGINE_UNIT}`;
}

async function requireUnit(unit: string, signal: AbortSignal | undefined): Promise<void> {
  await found('systemctl');
  try {
    await runProgram('systemctl', ['cat', '--', unit], { signal, timeoutMs: LOOK_MS });
  } catch (error) {
    if (!(error instanceof ProgramFailure)) throw error;
    throw unworkable(`systemctl does not know the unit ${unit}: ${error.lastLines(2) || error.message}`, error);
  }
}

async function found(program: string): Promise<string> {
  const path = await findProgram(program);
  if (path === undefined) throw unworkable(`its program ${program} does not exist or may not be executed`);
  return path;
}

const unworkable = (why: string, cause?: unknown): StillpointError =>
  new StillpointError('ENGINE_SERVICE_FAILED', `The engine cannot be started and stopped: ${why}`, {
    hint: 'Set `columnstore.service` in agent.yaml to what starts and stops the engine here, and restart the agent.',
    cause,
  });
