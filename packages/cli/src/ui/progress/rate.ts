/** How fast bytes come, over the last few seconds. */
export interface RateMeter {
  /** Bytes so far at a moment of the monotonic clock, ms. Fewer bytes than before mean that a new step began. */
  record(bytes: number, atMs: number): void;
  /** Bytes per second; undefined until two moments are known. */
  perSecond(): number | undefined;
  /** Milliseconds until `total`; undefined when it cannot be told. */
  remainingMs(total: number): number | undefined;
}

/** A meter over a sliding window: long enough to be calm, short enough to notice a stall. */
export function rateMeter(windowMs = 5_000): RateMeter {
  let samples: { bytes: number; atMs: number }[] = [];
  const perSecond = (): number | undefined => {
    const first = samples[0];
    const last = samples.at(-1);
    if (first === undefined || last === undefined || last.atMs <= first.atMs) return undefined;
    return ((last.bytes - first.bytes) * 1000) / (last.atMs - first.atMs);
  };
  return {
    record: (bytes, atMs) => {
      if (bytes < (samples.at(-1)?.bytes ?? 0)) samples = [];
      samples.push({ bytes, atMs });
      while (samples.length > 2 && atMs - (samples[1]?.atMs ?? atMs) >= windowMs) samples.shift();
    },
    perSecond,
    remainingMs: (total) => {
      const rate = perSecond();
      const done = samples.at(-1)?.bytes ?? 0;
      return rate === undefined || rate <= 0 || total < done ? undefined : ((total - done) * 1000) / rate;
    },
  };
}
