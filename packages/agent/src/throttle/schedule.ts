/** What of the past may be made up for, seconds: work comes in pieces, and none must wait because of a moment in which nobody worked. */
export const BURST_S = 0.25;

const NS = 1_000_000_000;

/** When a turn may begin, and from when on the next may; nanoseconds of one clock. */
export interface Turn {
  readonly beginsAt: bigint;
  readonly freeAt: bigint;
}

/**
 * Finds the turn of so many bytes: as many nanoseconds behind the one before as that one's bytes take at the rate, which is in bytes in a
 * second. Pure.
 */
export function turnOf(bytes: number, rate: number, freeAt: bigint, now: bigint): Turn {
  const earliest = now - BigInt(BURST_S * NS);
  const beginsAt = freeAt > earliest ? freeAt : earliest;
  return { beginsAt, freeAt: beginsAt + BigInt(Math.ceil((bytes * NS) / rate)) };
}
