import { StillpointError } from '@stillpoint/shared/errors';
import type { Clock } from '@stillpoint/shared/time';

/** Bounds of a hold, milliseconds. */
export interface HoldBounds {
  /** How long it lives without a renewal. */
  readonly leaseMs: number;
  /** How long writers may be shut out, counted from asking for the lock. */
  readonly maxBlockMs: number;
}

/** Watches over the bounds of one hold. */
export interface BoundsWatch {
  /** The lease begins, or is pushed out. */
  renew(): void;
}

/** Starts to count the budget now, and the lease from the first renewal on; calls `lose` once when either runs out, unless `over` comes first. */
export function watchBounds(
  { leaseMs, maxBlockMs }: HoldBounds,
  clock: Clock,
  over: AbortSignal,
  lose: (error: StillpointError) => Promise<void>,
): BoundsWatch {
  let leaseEndsMs: number | undefined;

  const watchBudget = async (): Promise<void> => {
    await clock.sleep(maxBlockMs, over);
    await lose(
      new StillpointError('BLOCK_BUDGET', `Writers were shut out for ${maxBlockMs} ms, the most that is allowed; the agent let them go on`),
    );
  };
  const watchLease = async (): Promise<void> => {
    for (let left = leaseMs; left > 0; left = (leaseEndsMs ?? 0) - clock.monotonicMs()) await clock.sleep(left, over);
    await lose(new StillpointError('LEASE_EXPIRED', `The controller gave no sign of life for ${leaseMs} ms; the agent let writers go on`));
  };
  // A sleep that ends because the hold is over is no failure.
  watchBudget().catch(() => undefined);
  return {
    renew: () => {
      const first = leaseEndsMs === undefined;
      leaseEndsMs = clock.monotonicMs() + leaseMs;
      if (first) watchLease().catch(() => undefined);
    },
  };
}
