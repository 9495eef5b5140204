/** Suspending the engine and resuming it: three drivers behind one port, and what makes that safe. */

import type { Clock } from '@stillpoint/shared/time';
import type { ColumnstoreConfig } from '../../config/schema.ts';
import { processesNamed } from '../../host/index.ts';
import type { FindProcesses } from '../engine/processes.ts';
import type { Engine, EngineStatus } from '../types.ts';
import { openDriver } from './choose.ts';
import { createControl } from './control.ts';
import { within } from './countdown.ts';
import type { ControlParts } from './parts.ts';
import type { Bound, EngineControl } from './types.ts';
import { resumeIfSuspended as resumeSuspended, type Undone, undoSuspension as undo } from './undo.ts';

export { chooseDriver } from './choose.ts';
export { forgetSuspension, readSuspension, recordSuspension } from './record.ts';
export type { EngineControl, Resumed, Stand } from './types.ts';
export type { Undone };

export interface ControlOptions {
  readonly engine: Engine;
  readonly config: ColumnstoreConfig;
  readonly clock: Clock;
  /** Default: those of this host. */
  readonly processes?: FindProcesses | undefined;
}

const STATUS_MS = 5_000;

/** The engine of this node, to be held still. Opened anew for each hold. Asks nothing of the engine yet. */
export const openControl = (options: ControlOptions): EngineControl => createControl(partsOf(options));

/** How the engine stands, within 5 seconds. Never throws: what goes wrong is in `text`. */
export async function readEngineStatus(engine: Engine, config: ColumnstoreConfig, signal: AbortSignal): Promise<EngineStatus> {
  try {
    return await openDriver(engine, config).status(within(STATUS_MS, signal));
  } catch (error) {
    return { mode: 'unknown', text: `The engine was not asked to the end: ${(error as Error).message}`, ready: false };
  }
}

/**
 * Undoes, when the agent starts, what an earlier life of it suspended, if that is certain; see `undo.ts`. It may go on to look for some
 * minutes: do not wait for it, but for `looked`. Throws RESUME_FAILED, with the record still there, or the signal's reason.
 */
export const undoSuspension = (
  options: ControlOptions & Omit<Bound, 'clock'> & { readonly stateDir: string; readonly looked: () => void },
): Promise<Undone> => undo(partsOf(options), options.stateDir, options, options.looked);

/**
 * Resumes an engine that came up suspended after a restore: images that were taken under mcsadmin hold its flag. True when it was, and is
 * no more; elsewhere nothing is done. Throws RESUME_FAILED or the signal's reason.
 */
export const resumeIfSuspended = (options: ControlOptions & Omit<Bound, 'clock'>): Promise<boolean> =>
  resumeSuspended(partsOf(options), options);

const partsOf = ({ engine, config, clock, processes = processesNamed }: ControlOptions): ControlParts => ({
  engine,
  driver: openDriver(engine, config),
  processes,
  clock,
});
