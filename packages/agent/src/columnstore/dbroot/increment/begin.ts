import { join } from 'node:path';
import { type ErrorCode, StillpointError } from '@stillpoint/shared/errors';
import type { DbrootToCapture, DbrootWork } from '../staged.ts';
import { Increment } from './increment.ts';
import type { ParentDbroot } from './parent-dbroot.ts';

/** What a list that is not as it was written throws. */
const DAMAGED: readonly ErrorCode[] = ['PART_CORRUPT', 'MANIFEST_INVALID', 'KEY_MISSING'];

/** Whose parent, and where to say that it cannot be used. */
type Begun = Pick<DbrootToCapture, 'number' | 'parent'>;

/**
 * Reads what the parent of a dbroot has, with `read`. Undefined without a parent, and, with a note, when its list is damaged: then the dbroot is taken in
 * full. Throws whatever else `read` throws.
 */
export async function ofParent<T>(
  { number, parent }: Begun,
  note: DbrootWork['note'],
  read: (parent: ParentDbroot) => Promise<T>,
): Promise<T | undefined> {
  if (parent === undefined) return undefined;
  try {
    return await read(parent);
  } catch (error) {
    if (!(error instanceof StillpointError && DAMAGED.includes(error.code))) throw error;
    note(`dbroot ${number} is taken in full: ${error.message}`);
    return undefined;
  }
}

/** An increment of the parent, as `ofParent` gives it. Throws the system's error or the signal's reason. */
export const beginIncrement = (
  dbroot: Begun & Pick<DbrootToCapture, 'part'>,
  { note, signal }: Pick<DbrootWork, 'note' | 'signal'>,
): Promise<Increment | undefined> =>
  ofParent(dbroot, note, (parent) => Increment.of(parent, join(dbroot.part, `.dbroot${dbroot.number}.known`), signal));
