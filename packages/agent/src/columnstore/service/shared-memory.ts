import { readdir } from 'node:fs/promises';
import { StillpointError } from '@stillpoint/shared/errors';
import { ask, engineProgram, lastLine } from '../engine/program.ts';
import type { Engine } from '../types.ts';
import { serviceFailure } from './failure.ts';

const DIRECTORY = '/dev/shm';
/** The second is that of releases before 1.4. */
const SEGMENT = /^(?:MCS|InfiniDB)-shm-/;
/** Gigabytes are let go in seconds. */
const CLEAR_MS = 120_000;

/** Names of the engine's segments of shared memory on this node, in which the block resolution manager lives while it runs. */
export const sharedSegments = async (): Promise<string[]> =>
  (await readdir(DIRECTORY).catch(() => [])).filter((name) => SEGMENT.test(name)).sort();

/**
 * Clears the shared memory of a stopped engine: what is left in it would be taken for that of other data. Must not be called while anything
 * of the engine runs. Throws ENGINE_SERVICE_FAILED or the signal's reason.
 */
export async function clearSharedMemory(engine: Engine, signal: AbortSignal): Promise<void> {
  const said = await ask(engineProgram(engine, 'clearShm'), [], { signal, timeoutMs: CLEAR_MS }).catch(async (error: unknown) => {
    signal.throwIfAborted();
    // A failure counts only where there is something to clear.
    if ((await sharedSegments()).length === 0) return undefined;
    throw serviceFailure('The shared memory of the engine could not be cleared', error);
  });
  const left = await sharedSegments();
  if (left.length === 0) return;
  const words = lastLine(said?.stderr ?? '') || lastLine(said?.stdout ?? '') || 'nothing';
  throw new StillpointError('ENGINE_SERVICE_FAILED', `clearShm left ${left.join(', ')} in ${DIRECTORY}, and said: ${words}`, {
    hint: 'They belong to the engine, which is stopped: remove them, then resume.',
  });
}
