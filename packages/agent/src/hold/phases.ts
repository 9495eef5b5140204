import { StillpointError } from '@stillpoint/shared/errors';
import { HoldPhase } from '@stillpoint/shared/proto';
import type { HeldEngine } from './held-engine.ts';

/**
 * Something that keeps writers waiting while a hold is in force. A hold lets go of its grips in the reverse order of taking them, on every
 * path. The engine's is taken after those of the SQL locks, so it goes first: writers that were waiting for the locks must not meet a
 * read-only engine, for they would fail, and leave table locks behind that only a restart of the engine's DMLProc clears.
 */
export interface Grip {
  /** Lets go. Never throws; returns once it no longer keeps anybody waiting. */
  letGo(): Promise<void>;
}

/** On what terms a phase is to be reached. */
export interface PhaseTerms {
  readonly timeoutMs: number | undefined;
  readonly refuseCpimport: boolean;
}

/** Brings the node to a phase. Throws COLUMNSTORE_UNSUPPORTED for a phase of the engine on a node without one, or see HeldEngine. */
export async function enterPhase(phase: HoldPhase, engine: HeldEngine | undefined, terms: PhaseTerms): Promise<void> {
  // Reached by taking the hold.
  if (phase === HoldPhase.QUIESCE) return;
  const name = ENGINE_PHASES.get(phase);
  if (name === undefined) throw new StillpointError('USAGE', `There is no phase ${phase} of a hold`);
  if (engine !== undefined) return await engine.enter(phase, terms);
  throw new StillpointError('COLUMNSTORE_UNSUPPORTED', `The phase ${name} is ColumnStore's, and there is no ColumnStore on this node`);
}

const ENGINE_PHASES: ReadonlyMap<HoldPhase, string> = new Map([
  [HoldPhase.DRAIN, 'drain'],
  [HoldPhase.SUSPEND, 'suspend'],
  [HoldPhase.FLUSH, 'flush'],
]);
