import { join } from 'node:path';
import { type ErrorCode, StillpointError } from '@stillpoint/shared/errors';
import type { DbrootToCapture, DbrootWork } from '../staged.ts';
import { Increment } from './increment.ts';

/** What a list that is not as it was written throws. */
const DAMAGED: readonly ErrorCode[] = ['PART_CORRUPT', 'MANIFEST_INVALID', 'KEY_MISSING'];

/**
 * Reads what the parent of a dbroot has. Undefined without a parent, and, with a note, when its list is damaged: then the dbroot is taken in full. Throws
 * the system's error or the signal's reason.
 */
export async function beginIncrement(
  { number, parent, part }: Pick<DbrootToCapture, 'number' | 'parent' | 'part'>,
  { note, signal }: Pick<DbrootWork, 'note' | 'signal'>,
): Promise<Increment | undefined> {
  if (parent === undefined) return undefined;
  try {
    return await Increment.of(parent, join(part, `.dbroot${number}.known`), signal);
  } catch (error) {
    if (!(error instanceof StillpointError && DAMAGED.includes(error.code))) throw error;
    note(`dbroot ${number} is taken in full: ${error.message}`);
    return undefined;
  }
}
