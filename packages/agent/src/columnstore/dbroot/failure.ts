import { errnoOf, StillpointError } from '@stillpoint/shared/errors';

/** Something in a dbroot was not left alone while it was captured. */
export const moved = (path: string, what: string): StillpointError =>
  new StillpointError('CAPTURE_MOVED', `${path} ${what} while the engine was suspended`, {
    hint: 'Something other than the engine writes there, or the suspension did not hold. Find out what it is, then start the backup again.',
  });

/** What a failure to look at or read something in a dbroot means. Errors of the table and reasons of signals stay what they are. */
export function readFailure(path: string, error: unknown): unknown {
  const errno = errnoOf(error);
  if (error instanceof StillpointError || errno === undefined) return error;
  if (errno === 'ENOENT' || errno === 'ENOTDIR' || errno === 'ELOOP') return moved(path, 'vanished');
  return new StillpointError('CAPTURE_FAILED', `${path} cannot be read: ${(error as Error).message}`, {
    hint: 'The agent must be able to read all of the dbroot: run it as root, or as the owner of the data.',
    cause: error,
  });
}
