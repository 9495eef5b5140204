import type { Clock } from '@stillpoint/shared/time';
import type { ColumnstoreConfig } from '../../config/schema.ts';
import type { Engine } from '../types.ts';
import { clusterService } from './cluster.ts';
import { commandService } from './commands.ts';
import { mcsadminService } from './mcsadmin.ts';
import { unitService } from './unit.ts';

/**
 * Starts and stops the processes of one stage on this node. Whether they run afterwards is for the caller to see: some drivers speak for the whole
 * system, on one of its nodes alone. Both throw ENGINE_SERVICE_FAILED or the signal's reason.
 */
export interface EngineService {
  /** Those that run already stay as they are. */
  start(stage: number, signal: AbortSignal): Promise<void>;
  /** Those that are stopped already are no failure. */
  stop(stage: number, signal: AbortSignal): Promise<void>;
}

/** What a service works with. */
export interface ServiceSurroundings {
  readonly engine: Engine;
  readonly config: ColumnstoreConfig;
  readonly clock: Clock;
}

/** The service that the configuration names. */
export function engineService(around: ServiceSurroundings): EngineService {
  const { engine, config } = around;
  switch (config.service.driver) {
    case 'commands':
      return commandService(around, config.service);
    case 'mcsadmin':
      return mcsadminService(around);
    case 'systemd':
      return engine.topology.managedByCmapi ? clusterService(around) : unitService();
  }
}
