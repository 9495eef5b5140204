import { StillpointError } from '@stillpoint/shared/errors';
import { formatDuration } from '@stillpoint/shared/time';

/** On what terms a hold is taken; milliseconds. */
export interface HoldTerms {
  /** How long the lock may be waited for. */
  readonly lockTimeoutMs: number;
  /** How long the hold lives without a renewal. */
  readonly leaseMs: number;
  /** How long writers may be shut out altogether, counted from the moment the lock is asked for. */
  readonly maxBlockMs: number;
}

/** Where a hold stands. Moments are of the monotonic clock, milliseconds. */
export type HoldState =
  /** Nothing was asked of the server yet. */
  | { readonly at: 'idle' }
  /** The lock is asked for: writers may stall from here on. */
  | { readonly at: 'acquiring'; readonly askedMs: number }
  /** In force: nothing is written on this node. */
  | { readonly at: 'held'; readonly askedMs: number; readonly leaseEndsMs: number }
  /** Given back because somebody asked for it. */
  | { readonly at: 'released' }
  /** Over without anybody asking for it, or never granted. What was captured under it is void. */
  | { readonly at: 'lost'; readonly error: StillpointError };

/** What happens to a hold. */
export type HoldEvent =
  /** The server is about to be asked for the lock. */
  | { readonly is: 'asked' }
  /** Everything that the hold consists of is in force. */
  | { readonly is: 'granted' }
  /** The controller lives. */
  | { readonly is: 'renewed' }
  /** A deadline may have passed. */
  | { readonly is: 'time-passed' }
  /** Somebody who may do so wants it to end. */
  | { readonly is: 'released' }
  /** It could not be taken, or what it consisted of is gone. */
  | { readonly is: 'failed'; readonly error: StillpointError };

/**
 * The next state: idle → acquiring → held → released | lost, and from everywhere before to released or lost. What is over stays over.
 *
 * Every event is judged by the clock first: a renewal that was waiting to be read while this process was frozen comes
 * after the end of the lease and does not revive it.
 */
export function transition(state: HoldState, event: HoldEvent, nowMs: number, terms: HoldTerms): HoldState {
  if (isOver(state)) return state;
  const overdue = overdueError(state, nowMs, terms);
  if (overdue !== undefined) return { at: 'lost', error: overdue };
  switch (event.is) {
    case 'asked':
      return { at: 'acquiring', askedMs: nowMs };
    case 'granted':
      if (state.at !== 'acquiring') throw new Error(`a hold that is ${state.at} cannot be granted`);
      return { at: 'held', askedMs: state.askedMs, leaseEndsMs: nowMs + terms.leaseMs };
    case 'renewed':
      return state.at === 'held' ? { ...state, leaseEndsMs: nowMs + terms.leaseMs } : state;
    case 'time-passed':
      return state;
    case 'released':
      return { at: 'released' };
    case 'failed':
      return { at: 'lost', error: event.error };
  }
}

/** True when nothing can happen to the hold any more. */
export const isOver = (state: HoldState): state is Extract<HoldState, { at: 'released' | 'lost' }> =>
  state.at === 'released' || state.at === 'lost';

/** When time alone will end the hold, by the monotonic clock; undefined when it will not. */
export function deadlineOf(state: HoldState, { maxBlockMs }: HoldTerms): number | undefined {
  if (state.at === 'acquiring') return state.askedMs + maxBlockMs;
  return state.at === 'held' ? Math.min(state.leaseEndsMs, state.askedMs + maxBlockMs) : undefined;
}

function overdueError(state: HoldState, nowMs: number, { leaseMs, maxBlockMs }: HoldTerms): StillpointError | undefined {
  if (state.at !== 'acquiring' && state.at !== 'held') return undefined;
  if (nowMs >= state.askedMs + maxBlockMs) {
    return new StillpointError('BLOCK_BUDGET', `Writers have been shut out for ${formatDuration(maxBlockMs)}, which is all they may be`);
  }
  if (state.at === 'held' && nowMs >= state.leaseEndsMs) {
    return new StillpointError('LEASE_EXPIRED', `The controller did not renew the hold for ${formatDuration(leaseMs)}`);
  }
  return undefined;
}
