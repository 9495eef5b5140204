import { type Failure, ThreadFailure } from '../../thread/failure.ts';

/** Something in a dbroot was not left alone while it was captured. */
export const movedText = (path: string, what: string): Failure => ({
  code: 'CAPTURE_MOVED',
  message: `${path} ${what} while the engine was suspended`,
  hint: 'Something other than the engine writes there, or the suspension did not hold. Find out what it is, then start the backup again.',
});

/** What it means that the system refuses to look at or read something in a dbroot; undefined for an error that is none of the system. */
export function readFailureText(path: string, error: unknown): Failure | undefined {
  const errno = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  if (typeof errno !== 'string') return undefined;
  if (errno === 'ENOENT' || errno === 'ENOTDIR' || errno === 'ELOOP') return movedText(path, 'vanished');
  return {
    code: 'CAPTURE_FAILED',
    message: `${path} cannot be read: ${(error as Error).message}`,
    hint: 'The agent must be able to read all of the dbroot: run it as root, or as the owner of the data.',
  };
}

/** On a thread: what `work` gives, or throws in the words of `readFailureText`. */
export function reading<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    const failure = error instanceof ThreadFailure ? undefined : readFailureText(path, error);
    throw failure === undefined ? error : new ThreadFailure(failure);
  }
}
