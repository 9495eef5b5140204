import { StillpointError } from '@stillpoint/shared/errors';
import type { Clock } from '@stillpoint/shared/time';
import { deadlineOf, type HoldEvent, type HoldState, type HoldTerms, isOver, transition } from './state.ts';

/** The life of one hold: its state, its deadlines, and its one end. */
export interface Course {
  readonly state: HoldState;
  /** Why it is over; CANCELLED when it was given back as asked, undefined while it is not over. */
  readonly reason: StillpointError | undefined;
  /** Aborted, with the reason, when it is over. */
  readonly over: AbortSignal;
  apply(event: HoldEvent): void;
}

/** A course that has not begun. `onOver` is called once, at the moment it is over. */
export function createCourse(operationId: string, terms: HoldTerms, clock: Clock, onOver: () => void): Course {
  let state: HoldState = { at: 'idle' };
  let reason: StillpointError | undefined;
  const over = new AbortController();

  const apply = (event: HoldEvent): void => {
    const before = state;
    state = transition(state, event, clock.monotonicMs(), terms);
    if (state.at === before.at) return;
    if (!isOver(state)) {
      void watchDeadline();
      return;
    }
    reason = state.at === 'lost' ? state.error : new StillpointError('CANCELLED', `The hold of ${operationId} was released`);
    over.abort(reason);
    onOver();
  };

  /** Ends the hold in time. Begun anew with each state, whose deadline may be nearer than that of the one before. */
  const watchDeadline = async (): Promise<void> => {
    for (let deadline = deadlineOf(state, terms); deadline !== undefined; deadline = deadlineOf(state, terms)) {
      await clock.sleep(Math.max(0, deadline - clock.monotonicMs()), over.signal).catch(() => undefined);
      apply({ is: 'time-passed' });
    }
  };

  return {
    get state() {
      return state;
    },
    get reason() {
      return reason;
    },
    over: over.signal,
    apply,
  };
}
