/**
 * Milliseconds within which two writes may get the same stamp: file systems take the time of the last tick of a clock, which comes every 10 ms on the
 * slowest kernels, and every 1 to 4 ms on most. Two ticks, and as much again for whoever is late.
 */
const TICKS_MS = 40;
/** The same where only whole seconds are kept, or every second one. */
const SECONDS_MS = 2_500;
const NS_PER_SECOND = 1_000_000_000n;
const NS_PER_MS = 1_000_000n;

/**
 * Whether a file may be written after a look at it without changing its stamp: its last change is as good as now. `ctime` alone tells, nobody can set
 * it back. A time to come (the clock was set back) counts as now. Pure; `lookedAtMs` was read before the look.
 */
export function isTooFresh(ctimeNs: bigint, lookedAtMs: number): boolean {
  const ageMs = lookedAtMs - Number(ctimeNs / NS_PER_MS);
  return ageMs < (ctimeNs % NS_PER_SECOND === 0n ? SECONDS_MS : TICKS_MS);
}
