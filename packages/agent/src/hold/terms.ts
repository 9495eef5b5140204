import { type Duration, durationMs } from '@bufbuild/protobuf/wkt';
import { StillpointError } from '@stillpoint/shared/errors';
import type { HoldAcquire, HoldAdvance } from '@stillpoint/shared/proto';
import { formatDuration } from '@stillpoint/shared/time';
import type { NodeHoldOptions } from './node-hold.ts';
import type { PhaseTerms } from './phases.ts';

/**
 * Bounds of the bounds, milliseconds. A lease shorter than the pause between two renewals would end by itself; the other
 * ends keep a mistyped unit from shutting writers out for days.
 */
const LOCK_TIMEOUT = { least: 1, most: 600_000 };
const LEASE = { least: 1_000, most: 600_000 };
const PROBE_EVERY = { least: 1, most: 60_000 };
const MAX_BLOCK = { least: 1, most: 86_400_000 };

/** On what terms a request wants the hold. Throws USAGE. */
export function acquireTerms({
  checksums,
  lease,
  lockTimeout,
  maxBlock,
  probeEvery,
}: HoldAcquire): Pick<NodeHoldOptions, 'terms' | 'checksums' | 'probeEveryMs'> {
  return {
    terms: {
      lockTimeoutMs: within('lock_timeout', lockTimeout, LOCK_TIMEOUT),
      leaseMs: within('lease', lease, LEASE),
      maxBlockMs: within('max_block', maxBlock, MAX_BLOCK),
    },
    checksums,
    probeEveryMs: probeEvery === undefined ? undefined : within('probe_every', probeEvery, PROBE_EVERY),
  };
}

/** On what terms a request wants a phase. */
export const phaseTerms = ({ refuseCpimport, timeout }: HoldAdvance): PhaseTerms => ({
  timeoutMs: timeout === undefined ? undefined : durationMs(timeout),
  refuseCpimport,
});

function within(name: string, value: Duration | undefined, { least, most }: { least: number; most: number }): number {
  const ms = value === undefined ? undefined : durationMs(value);
  if (ms !== undefined && ms >= least && ms <= most) return ms;
  const bounds = `between ${formatDuration(least)} and ${formatDuration(most)}`;
  throw new StillpointError('USAGE', `A hold needs a ${name} ${bounds}, not ${ms === undefined ? 'none' : formatDuration(ms)}`);
}
