import { type CapturedDbroot, captureDbroot, type DbrootToCapture, type StagedDbroot } from '../../columnstore/dbroot/index.ts';
import { NOTHING_BEFORE } from '../storage.ts';

/** A dbroot that is read and packed inside the still point: what every node can do, and the block grows with the data. */
export function lockedDbroot(dbroot: DbrootToCapture): StagedDbroot {
  let captured: CapturedDbroot | undefined;
  return {
    precopy: async () => NOTHING_BEFORE,
    take: async ({ onFound, ...work }) => {
      captured = await captureDbroot({ ...dbroot, ...work, onFound: ({ bytes }) => onFound(bytes) });
    },
    finish: async () => {
      if (captured === undefined) throw new Error('an image is finished that was not taken');
      return captured;
    },
    discard: async () => {},
  };
}
