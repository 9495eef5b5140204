import {
  type CapturedDbroot,
  captureDbroot,
  type DbrootToCapture,
  Increment,
  knownFilesOf,
  lookAhead,
  type StagedDbroot,
} from '../../columnstore/dbroot/index.ts';
import { NOTHING_BEFORE } from '../storage.ts';

/**
 * A dbroot that is read and packed inside the still point: what every node can do, and the block grows with the data. With a parent it grows with what has
 * changed: files that must be read to know are read before as well.
 */
export function lockedDbroot(dbroot: DbrootToCapture): StagedDbroot {
  let increment: Increment | undefined;
  let captured: CapturedDbroot | undefined;
  return {
    precopy: async (work) => {
      if (dbroot.parent === undefined) return NOTHING_BEFORE;
      increment ??= await Increment.of(dbroot.parent, knownFilesOf(dbroot), work.signal);
      const bytes = await lookAhead(dbroot, increment, work);
      return { bytes, changedBytes: 0 };
    },
    take: async ({ onFound, ...work }) => {
      if (dbroot.parent !== undefined) increment ??= await Increment.of(dbroot.parent, knownFilesOf(dbroot), work.signal);
      captured = await captureDbroot({ ...dbroot, ...work, increment, onFound: ({ bytes }) => onFound(bytes) });
      increment?.remove();
    },
    finish: async () => {
      if (captured === undefined) throw new Error('an image is finished that was not taken');
      return captured;
    },
    discard: async () => increment?.remove(),
  };
}
