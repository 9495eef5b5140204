import { StillpointError } from '@stillpoint/shared/errors';
import { ask, engineProgram } from '../../engine/program.ts';
import type { Engine } from '../../types.ts';
import { refusalOf } from './answers.ts';

/** In the forms that ask no question when they are answered in advance. */
const ARGUMENTS = {
  suspend: ['suspendDatabaseWrites', 'y', 'WAIT'],
  resume: ['resumeDatabaseWrites', 'y'],
} as const;

/** Ends a request whose signal never does. */
const LONGEST_MS = 900_000;

/**
 * Has mcsadmin do something, with nothing for it to read, and believes only what it says: it exits with 0 whatever happened. Throws `code`
 * with its words when it does not say that it was done, or the signal's reason.
 */
export async function requestOfMcsadmin(
  engine: Engine,
  request: 'suspend' | 'resume',
  code: 'SUSPEND_FAILED' | 'RESUME_FAILED',
  signal: AbortSignal,
): Promise<void> {
  const args = ARGUMENTS[request];
  const { stdout, stderr } = await ask(engineProgram(engine, 'mcsadmin'), args, { signal, timeoutMs: LONGEST_MS }).catch(
    (cause: unknown) => {
      if (signal.aborted) throw signal.reason;
      throw new StillpointError(code, `mcsadmin ${args[0]} gave no answer: ${cause instanceof Error ? cause.message : String(cause)}`, {
        cause,
      });
    },
  );
  const refusal = refusalOf(request, stdout === '' ? stderr : stdout);
  if (refusal !== undefined) throw new StillpointError(code, `mcsadmin ${args[0]} did not succeed: ${refusal}`);
}
