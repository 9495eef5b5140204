import { StillpointError } from '@stillpoint/shared/errors';
import { ProgramFailure } from '../../process/index.ts';
import { ask, engineProgram, lastLine, type Said } from '../engine/program.ts';
import type { Engine } from '../types.ts';

/** Far beyond any load: it reads files into shared memory. */
const LONGEST_MS = 600_000;

/**
 * Loads a saved block resolution manager into shared memory, as the owner of the data: segments of anybody else the engine cannot use. Gives
 * how many transactions of its journal were replayed. Throws BRM_FAILED with what load_brm says, or the signal's reason.
 */
export async function loadBrm(engine: Engine, prefix: string, signal: AbortSignal): Promise<number> {
  const options = { signal, timeoutMs: LONGEST_MS, as: engine.owner };
  const said = await ask(engineProgram(engine, 'load_brm'), [prefix], options).catch((cause: unknown) => {
    if (!(cause instanceof ProgramFailure)) throw cause;
    throw new StillpointError('BRM_FAILED', `load_brm ${prefix} did not end well: ${cause.message}`, { cause });
  });
  return replayedOf(prefix, said);
}

/** How many transactions load_brm says it has replayed. Throws BRM_FAILED unless it says that it has loaded all of it. Pure. */
export function replayedOf(prefix: string, { stdout, stderr, exitCode }: Said): number {
  const lines = stdout.split('\n').map((line) => line.trim());
  const replayed = lines
    .map((line) => /^Successfully replayed (\d+) BRM transactions$/.exec(line)?.[1])
    .find((count) => count !== undefined);
  if (exitCode === 0 && lines.includes('OK.') && lines.includes('Successfully loaded BRM snapshot') && replayed !== undefined)
    return Number(replayed);
  const words = [...lines.filter((line) => line !== '').slice(-3), lastLine(stderr)].filter((line) => line !== '');
  throw new StillpointError('BRM_FAILED', `load_brm ${prefix} exited with ${exitCode} and said: ${words.join(' | ') || 'nothing'}`);
}
