import type { StillpointError } from '@stillpoint/shared/errors';
import { toStillpointError } from '@stillpoint/shared/errors';
import type { Clock } from '@stillpoint/shared/time';
import { abortReason } from './scope.ts';

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5_000;

/** True for an error that says nothing about the work, only that the agent could not be heard. */
export const isLostContact = (error: StillpointError): boolean =>
  error.code === 'CONNECTION_LOST' || error.code === 'NODE_UNREACHABLE' || error.code === 'DEADLINE';

/** How often to try to reach an agent again, and for how long. */
export interface Patience {
  /** Contact was made: counts from the beginning again. */
  renew(): void;
  /** Pauses before the next try, each time longer. Throws `error` when it is not about contact, or lasts for too long. */
  wait(error: StillpointError, signal?: AbortSignal): Promise<void>;
}

/** Patience for `ms` from the first failure without contact since. `onLost` is told of each first failure. */
export function patience(clock: Clock, ms: number, onLost: (error: StillpointError) => void = () => {}): Patience {
  let lostAt: number | undefined;
  let pauseMs = FIRST_PAUSE_MS;
  return {
    renew: () => {
      lostAt = undefined;
      pauseMs = FIRST_PAUSE_MS;
    },
    wait: async (error, signal) => {
      if (signal?.aborted) throw abortReason(signal);
      if (!isLostContact(error)) throw error;
      if (lostAt === undefined) onLost(error);
      lostAt ??= clock.monotonicMs();
      if (clock.monotonicMs() + pauseMs - lostAt > ms) throw error;
      await clock.sleep(pauseMs, signal);
      pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
    },
  };
}

/** Makes an idempotent call until it is answered, for `patienceMs`. Throws what the call throws. */
export async function untilAnswered<R>(
  clock: Clock,
  patienceMs: number,
  signal: AbortSignal | undefined,
  call: () => Promise<R>,
): Promise<R> {
  const tries = patience(clock, patienceMs);
  for (;;) {
    try {
      return await call();
    } catch (error) {
      await tries.wait(toStillpointError(error), signal);
    }
  }
}
