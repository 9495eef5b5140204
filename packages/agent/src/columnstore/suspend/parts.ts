import type { Clock } from '@stillpoint/shared/time';
import type { FindProcesses } from '../engine/processes.ts';
import type { Engine } from '../types.ts';
import type { SuspendDriver } from './types.ts';

/** What a control works with. */
export interface ControlParts {
  readonly engine: Engine;
  readonly driver: SuspendDriver;
  readonly processes: FindProcesses;
  readonly clock: Clock;
}
