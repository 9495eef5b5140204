import { type StillpointError, toStillpointError } from '@stillpoint/shared/errors';
import type { Clock } from '@stillpoint/shared/time';
import type { EngineControl, Resumed } from '../columnstore/suspend/index.ts';
import { awaitSteadilyWritable, STEADY_MS } from './steady.ts';

/** How far the suspension of the engine has come, as this node can know. */
export type Suspension =
  /** Nobody suspends before every node has come further. */
  | 'none'
  /**
   * This node, or another one for it, may be about to suspend. Where it is this one, the request was made, or is about to be, and nobody has
   * seen what came of it: it may be carried out at any time yet.
   */
  | 'begun'
  /** The engine was seen read-only, and stays so until somebody resumes it. */
  | 'complete';

export interface SeeWritableParts {
  readonly control: EngineControl;
  readonly suspension: Suspension;
  /** How long a node that does not suspend must see the engine read-write before it believes in it, milliseconds. */
  readonly steadyMs: number;
  readonly leaseMs: number;
  readonly clock: Clock;
}

/** What came of it. */
export interface SeenWritable {
  readonly isWritable: boolean;
  /** How it was resumed by this node; undefined when that was not its task, or failed. */
  readonly resumed: Resumed | undefined;
  /** Why it could not be resumed by this node. */
  readonly error: StillpointError | undefined;
}

/** How long writers are kept waiting for an engine that does not become read-write, milliseconds. */
export const RESUME_MS = 60_000;

const NEVER = new AbortController().signal;

/**
 * Before SQL writers go on: the engine must be read-write. The primary resumes what it suspended; every other node waits until it sees that,
 * a lease longer. So the order holds in the whole cluster although nobody tells them. Bounded: writers cannot wait for ever. Never throws.
 */
export async function seeWritable({ control, suspension, steadyMs, leaseMs, clock }: SeeWritableParts): Promise<SeenWritable> {
  if (!control.isPrimary || suspension === 'none') {
    const isWritable = await awaitSteadilyWritable(control, { timeoutMs: leaseMs + RESUME_MS, steadyMs, clock });
    return { isWritable, resumed: undefined, error: undefined };
  }
  const first = await resume(control, suspension, clock);
  if (!first.isWritable || suspension === 'complete') return first;
  // A request that waited in line may have come after the one that took it back.
  if (await awaitSteadilyWritable(control, { timeoutMs: 0, steadyMs: STEADY_MS, clock })) return first;
  return await resume(control, suspension, clock);
}

async function resume(control: EngineControl, suspension: Suspension, clock: Clock): Promise<SeenWritable> {
  try {
    const bound = { timeoutMs: RESUME_MS, clock, signal: NEVER };
    return { isWritable: true, resumed: await control.resume(bound, { mayComeYet: suspension === 'begun' }), error: undefined };
  } catch (error) {
    return { isWritable: false, resumed: undefined, error: toStillpointError(error, 'RESUME_FAILED') };
  }
}
