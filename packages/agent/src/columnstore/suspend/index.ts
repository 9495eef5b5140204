import { StillpointError } from '@stillpoint/shared/errors';
import type { Clock } from '@stillpoint/shared/time';
import type { ColumnstoreConfig } from '../../config/schema.ts';
import type { FindProcesses } from '../engine/processes.ts';
import type { Engine, EngineStatus } from '../types.ts';
import type { EngineControl, SuspendDriver } from './types.ts';

export interface ControlOptions {
  readonly engine: Engine;
  readonly config: ColumnstoreConfig;
  readonly clock: Clock;
  /** Default: those of this host. */
  readonly processes?: FindProcesses | undefined;
}

/** The engine of this node, to be held still. Opened anew for each hold. Asks nothing of the engine yet. */
export function openControl(_options: ControlOptions): EngineControl {
  throw new StillpointError('COLUMNSTORE_UNSUPPORTED', 'not built yet');
}

/** What sets the engine read-only here, as configured. Asks nothing of the engine yet. */
export function openDriver(_engine: Engine, _config: ColumnstoreConfig): SuspendDriver {
  throw new StillpointError('COLUMNSTORE_UNSUPPORTED', 'not built yet');
}

/** How the engine stands, within 5 seconds. Never throws: what goes wrong is in `text`. */
export async function readEngineStatus(_engine: Engine, _config: ColumnstoreConfig, _signal: AbortSignal): Promise<EngineStatus> {
  return { mode: 'unknown', text: 'not built yet', ready: false };
}
