import { formatDuration } from '../time/index.ts';

/** Both included; durations in milliseconds. */
export interface Bounds {
  readonly least: number;
  readonly most: number;
}

/**
 * Within what the terms of a hold must lie. A lease shorter than the pause between two renewals would end by itself; the other ends keep a mistyped
 * unit from shutting writers out for days. Configuration and command line refuse the rest before anything is done, and each agent once more.
 */
export const HOLD_BOUNDS = {
  lockTimeout: { least: 1, most: 600_000 },
  lease: { least: 1_000, most: 600_000 },
  maxBlock: { least: 1, most: 86_400_000 },
  probeEvery: { least: 1, most: 60_000 },
} as const satisfies Readonly<Record<string, Bounds>>;

export const isWithin = (ms: number, { least, most }: Bounds): boolean => ms >= least && ms <= most;

/** The bounds of a duration for people. */
export const boundsText = ({ least, most }: Bounds): string => `between ${formatDuration(least)} and ${formatDuration(most)}`;
