import { StillpointError } from '@stillpoint/shared/errors';
import { ask, engineProgram } from '../engine/program.ts';
import { refusalOf } from '../suspend/mcsadmin/answers.ts';
import type { EngineService, ServiceSurroundings } from './driver.ts';
import { serviceFailure } from './failure.ts';
import { ENGINE_PROGRAMS, runningProcesses } from './processes.ts';

/** It stops or starts one process after the other on all nodes, and waits for each. */
const REQUEST_MS = 900_000;

/**
 * Releases before 5: mcsadmin on the parent module speaks for the whole system, and the other nodes are seen to follow. Its exit code is 0
 * whatever happened. Where tables are locked it asks what to do and, with nobody to answer, does nothing: so that is a failure, not a choice.
 */
export function mcsadminService({ engine }: Pick<ServiceSurroundings, 'engine'>): EngineService {
  const request = async (args: readonly string[], refusal: (stdout: string) => string | undefined, signal: AbortSignal): Promise<void> => {
    if (!engine.isPrimary) return;
    const what = `mcsadmin ${args[0] ?? ''}`;
    const { stdout, stderr } = await ask(engineProgram(engine, 'mcsadmin'), args, { signal, timeoutMs: REQUEST_MS }).catch(
      (error: unknown) => {
        throw serviceFailure(`${what} failed`, error);
      },
    );
    const refused = refusal(stdout === '' ? stderr : stdout);
    if (refused !== undefined) throw new StillpointError('ENGINE_SERVICE_FAILED', `${what} did not succeed: ${refused}`);
  };
  return {
    // A word after it would be taken for a password of ssh when the whole system is down.
    start: (_stage, signal) => request(['startSystem'], startRefusal, signal),
    stop: async (_stage, signal) => {
      // A shutdown ends with the words of a stop.
      if ((await runningProcesses(ENGINE_PROGRAMS)).length > 0)
        await request(['shutdownsystem', 'y'], (stdout) => refusalOf('stop', stdout), signal);
    },
  };
}

/** Why a start did not succeed, in the words of mcsadmin. */
function startRefusal(stdout: string): string | undefined {
  const lines = stdout.split('\n').map((line) => line.trim());
  if (lines.includes('Successful start of System')) return undefined;
  return (
    lines
      .filter((line) => line !== '')
      .slice(-3)
      .join(' | ') || 'it said nothing'
  );
}
