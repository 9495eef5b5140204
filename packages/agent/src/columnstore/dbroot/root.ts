import { realpath, stat } from 'node:fs/promises';
import { StillpointError } from '@stillpoint/shared/errors';
import { mountPointsBelow } from '../../host/index.ts';

/**
 * Where a dbroot really is, with no link on the way to it. Throws CAPTURE_FAILED unless it is a directory, with nothing mounted below: that would
 * be another's file system.
 */
export async function requireDirectory(path: string): Promise<string> {
  const root = await realpath(path).catch((error: unknown) => {
    throw new StillpointError('CAPTURE_FAILED', `The dbroot ${path} cannot be read: ${(error as Error).message}`, { cause: error });
  });
  if (!(await stat(root)).isDirectory()) throw new StillpointError('CAPTURE_FAILED', `The dbroot ${path} is not a directory`);
  const [mounted] = await mountPointsBelow(root);
  if (mounted === undefined) return root;
  throw new StillpointError('CAPTURE_FAILED', `${mounted}, below the dbroot ${path}, is another file system`, {
    hint: 'A dbroot is captured and restored as one directory. Unmount what is mounted in it.',
  });
}
