import { dirname } from 'node:path';
import { isAbort, StillpointError, toStillpointError } from '@stillpoint/shared/errors';
import { freeBytes } from '../host/index.ts';
import type { Tree } from './state.ts';

/** True when the words of a program or of a server say that there is no space, or no quota, left. */
export const saysDiskFull = (text: string): boolean =>
  /No space left on device|Disk full|Disk quota exceeded|err(?:no|code): (?:28|122)\b|error number (?:28|122)\b/i.test(text);

/** With less than this, bytes, on its file system, a server can fail to make a file without a word about space. */
const FULL_BYTES = 32 * 1024 * 1024;

/** What a failed staging is told as, asked for while what was staged is still there: DISK_FULL when that is why, whatever it says. */
export async function stagingFailure(error: unknown, trees: readonly Pick<Tree, 'stage'>[]): Promise<unknown> {
  if (isAbort(error)) return error;
  const failure = toStillpointError(error, 'STAGE_FAILED');
  if (failure.code !== 'STAGE_FAILED') return failure;
  const told: string[] = [];
  for (const { stage } of trees) {
    const free = await freeBytes(stage).catch(() => Number.POSITIVE_INFINITY);
    if (free < FULL_BYTES) told.push(`The file system of ${dirname(stage)} is full, with ${free} bytes left: `);
  }
  if (told.length === 0 && !saysDiskFull(failure.message)) return failure;
  return new StillpointError('DISK_FULL', `${told[0] ?? ''}${failure.message}`, { cause: failure });
}
