import { StillpointError } from '@stillpoint/shared/errors';
import { ProgramFailure } from '../../process/index.ts';

/** ENGINE_SERVICE_FAILED with the last lines of a program that failed; anything else that was thrown is passed on. */
export function serviceFailure(what: string, error: unknown): unknown {
  if (error instanceof ProgramFailure) return failed(what, error.lastLines(3) || error.message, error);
  if (error instanceof StillpointError && error.code === 'TOOL_MISSING') return failed(what, error.message, error);
  return error;
}

const failed = (what: string, why: string, cause: Error): StillpointError =>
  new StillpointError('ENGINE_SERVICE_FAILED', `${what}: ${why}`, { cause });
