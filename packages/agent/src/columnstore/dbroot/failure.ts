import { StillpointError } from '@stillpoint/shared/errors';
import { movedText, readFailureText } from './failure-text.ts';

/** Something in a dbroot was not left alone while it was captured. */
export function moved(path: string, what: string): StillpointError {
  const { code, message, hint } = movedText(path, what);
  return new StillpointError(code, message, { hint });
}

/** What a failure to look at or read something in a dbroot means. Errors of the table and reasons of signals stay what they are. */
export function readFailure(path: string, error: unknown): unknown {
  const failure = error instanceof StillpointError ? undefined : readFailureText(path, error);
  return failure === undefined ? error : new StillpointError(failure.code, failure.message, { hint: failure.hint, cause: error });
}
