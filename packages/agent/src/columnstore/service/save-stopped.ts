import { requireSaved } from '../brm/save.ts';
import { ask, engineProgram } from '../engine/program.ts';
import type { Engine } from '../types.ts';

/** Far beyond any save: it writes what is in shared memory. */
const LONGEST_MS = 600_000;

/**
 * Saves the block resolution manager of an engine that has just ended in order, from the shared memory that it left, as the owner of its
 * files. Not ended by the signal once it has begun: half of a save is worth less than none. Throws BRM_FAILED, TOOL_MISSING, ProgramFailure,
 * or the signal's reason.
 */
export async function saveStopped(engine: Engine, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  requireSaved(engine.topology.dbrmRoot, await ask(engineProgram(engine, 'save_brm'), [], { timeoutMs: LONGEST_MS, as: engine.owner }));
}
