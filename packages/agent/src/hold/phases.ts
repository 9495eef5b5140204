import { StillpointError } from '@stillpoint/shared/errors';
import { HoldPhase } from '@stillpoint/shared/proto';

/** Something that keeps writers waiting while a hold is in force. */
export interface Grip {
  /** Lets go. Never throws; returns once it no longer keeps anybody waiting. */
  letGo(): Promise<void>;
}

/**
 * Brings the node to a phase, and gives the grip that it thereby has on writers; undefined when it has no new one.
 *
 * A hold lets go of its grips in the reverse order of taking them, on every path. For ColumnStore that order is what
 * counts: the grip of SUSPEND, which sets the engine read-write again, is taken after the SQL lock and so goes first. The
 * other way round, writers that were waiting for the lock would run into a read-only engine, fail, and leave table locks behind
 * that only a restart of the engine clears. What suspends the engine comes from columnstore/ and is to be journaled before it is done: unlike
 * a lock, a suspension outlives an agent that is killed.
 *
 * Throws COLUMNSTORE_UNSUPPORTED for the phases of ColumnStore.
 */
export async function enterPhase(phase: HoldPhase): Promise<Grip | undefined> {
  // Reached by taking the hold.
  if (phase === HoldPhase.QUIESCE) return undefined;
  const name = COLUMNSTORE_PHASES.get(phase);
  if (name === undefined) throw new StillpointError('USAGE', `There is no phase ${phase} of a hold`);
  throw new StillpointError('COLUMNSTORE_UNSUPPORTED', `The phase ${name} is ColumnStore's, which this node cannot bring to a stand`);
}

const COLUMNSTORE_PHASES: ReadonlyMap<HoldPhase, string> = new Map([
  [HoldPhase.DRAIN, 'drain'],
  [HoldPhase.SUSPEND, 'suspend'],
  [HoldPhase.FLUSH, 'flush'],
]);
