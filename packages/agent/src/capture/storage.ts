import type { Hold } from '../hold/types.ts';
import type { LockGate } from '../mariadb/open-gate.ts';

/** What work on an image may use. */
export interface ImageWork {
  /** Aborted on cancel, and inside the still point when the hold is lost. */
  readonly signal: AbortSignal;
  /** How far it has come, bytes; total 0 means unknown. */
  readonly progress: (bytesDone: number, bytesTotal: number) => void;
  /** Gets a sentence for the operation's log. */
  readonly note: (message: string) => void;
}

/** What was brought over before the still point. */
export interface Precopied {
  /** Bytes read this time. */
  readonly bytes: number;
  /** What had changed already when all was read, by a look at every file then: the still point would have to read that again. */
  readonly changedBytes: number;
}

/**
 * The image of one kind of storage (the server, the dbroots) in the making. A strategy decides what is done in which of the three
 * stages: only `take` makes writers wait. What a stage throws ends the backup on this node; `discard` is called on every path.
 */
export interface StorageCapture<Image> {
  /** Before the still point, and before each further attempt at it: brings over what can be had while clients write. */
  precopy(work: ImageWork): Promise<Precopied>;
  /** What waits for the lock after `precopy`; whoever takes that opens it. Default: nothing waits. */
  gate?(): LockGate | undefined;
  /** Inside the still point: whatever has to be done before writers go on. `hold` is in force. */
  take(hold: Hold, work: ImageWork): Promise<void>;
  /** After it: completes the image in the part. */
  finish(work: ImageWork): Promise<Image>;
  /** Ends what still runs and removes what lies outside of the part. Never throws; may be called at any time, also again. */
  discard(): Promise<void>;
}

/** Nothing can be had before. */
export const NOTHING_BEFORE: Precopied = { bytes: 0, changedBytes: 0 };

/**
 * The strategy without stages: all of the image is made inside the still point. The simplest, the one that every node can do, and the one whose
 * block grows with the data.
 */
export function takenWhole<Image>(take: (hold: Hold, work: ImageWork) => Promise<Image>): StorageCapture<Image> {
  let image: { readonly taken: Image } | undefined;
  return {
    precopy: async () => NOTHING_BEFORE,
    take: async (hold, work) => {
      image = { taken: await take(hold, work) };
    },
    finish: async () => {
      return requireTaken(image).taken;
    },
    discard: async () => {},
  };
}

/** What `take` has made, for `finish`, which is never called without. */
export function requireTaken<T>(taken: T | undefined): T {
  if (taken === undefined) throw new Error('an image is finished that was not taken');
  return taken;
}
