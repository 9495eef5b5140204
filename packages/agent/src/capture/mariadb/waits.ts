import type { Clock } from '@stillpoint/shared/time';

/** How long any client may be kept from writing by a copy that is made outside of the still point, milliseconds. */
export const LONGEST_STALL_MS = 30_000;
const LOOK_MS = 500;

/** Who waits, and what is done about it. */
export interface Waits {
  readonly clock: Clock;
  /** Connections that wait now. */
  readonly waiting: () => Promise<readonly number[]>;
  /** Is called once, when one and the same connection has been seen waiting for LONGEST_STALL_MS. */
  readonly onTooLong: () => void;
  /** Ends the watch. */
  readonly signal: AbortSignal;
}

/** Looks twice a second. Returns when it has called `onTooLong`, is ended, or the server does not answer, which others tell. Never throws. */
export async function watchWaits({ clock, waiting, onTooLong, signal }: Waits): Promise<void> {
  const since = new Map<number, number>();
  try {
    for (;;) {
      await clock.sleep(LOOK_MS, signal);
      const now = clock.monotonicMs();
      const there = new Set(await waiting());
      for (const id of since.keys()) if (!there.has(id)) since.delete(id);
      for (const id of there) if (!since.has(id)) since.set(id, now);
      if ([...since.values()].some((from) => now - from >= LONGEST_STALL_MS)) return onTooLong();
    }
  } catch {
    // Over; or the server does not answer, which mariadb-backup tells.
  }
}
