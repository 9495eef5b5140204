import {
  beginIncrement,
  type CapturedDbroot,
  captureDbroot,
  type DbrootToCapture,
  type DbrootWork,
  type Increment,
  lookAhead,
  type ScanThreads,
  type StagedDbroot,
  scansOf,
} from '../../columnstore/dbroot/index.ts';
import { NOTHING_BEFORE, requireTaken } from '../storage.ts';

/**
 * A dbroot that is read and packed inside the still point: what every node can do, and the block grows with the data. With a parent it grows with what has
 * changed: files that must be read to know are read before as well.
 */
export function lockedDbroot(dbroot: DbrootToCapture): StagedDbroot {
  let begun: Promise<Increment | undefined> | undefined;
  const increments = (work: DbrootWork): Promise<Increment | undefined> => {
    begun ??= beginIncrement(dbroot, work);
    return begun;
  };
  let scans: ScanThreads | undefined;
  const looking = (): ScanThreads => {
    scans ??= scansOf(dbroot);
    return scans;
  };
  let captured: CapturedDbroot | undefined;
  return {
    precopy: async (work) => {
      // Writers do not wait for threads to begin.
      const threads = looking();
      const increment = await increments(work);
      return increment === undefined ? NOTHING_BEFORE : { bytes: await lookAhead(dbroot, threads, increment, work), changedBytes: 0 };
    },
    take: async (work) => {
      const increment = await increments(work);
      captured = await captureDbroot({ ...dbroot, ...work, increment, scans: looking(), onFound: ({ bytes }) => work.onFound(bytes) });
      increment?.remove();
    },
    finish: async () => requireTaken(captured),
    discard: async () => {
      await scans?.end();
      (await begun?.catch(() => undefined))?.remove();
    },
  };
}
