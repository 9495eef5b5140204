import type { Bound } from './types.ts';

/** Milliseconds that are left of a bound, counted from now; never negative. */
export function countdown({ timeoutMs, clock }: Bound): () => number {
  const endsMs = clock.monotonicMs() + timeoutMs;
  return () => Math.max(0, endsMs - clock.monotonicMs());
}

/** How long to pause before looking again, milliseconds: often at first, then at leisure. */
export function pauses(firstMs: number, longestMs: number): () => number {
  let nextMs = firstMs;
  return () => {
    const pauseMs = nextMs;
    nextMs = Math.min(longestMs, nextMs * GROWTH);
    return pauseMs;
  };
}

const GROWTH = 1.5;

/** The signal, or the end of that many milliseconds. */
export const within = (ms: number, signal: AbortSignal): AbortSignal =>
  AbortSignal.any([signal, AbortSignal.timeout(Math.max(1, Math.ceil(ms)))]);
