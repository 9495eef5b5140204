import { type Duration, durationMs } from '@bufbuild/protobuf/wkt';
import { type Bounds, boundsText, HOLD_BOUNDS, isWithin } from '@stillpoint/shared/config';
import { StillpointError } from '@stillpoint/shared/errors';
import type { HoldAcquire, HoldAdvance } from '@stillpoint/shared/proto';
import { formatDuration } from '@stillpoint/shared/time';
import type { NodeHoldOptions } from './node-hold.ts';
import type { PhaseTerms } from './phases.ts';

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
      lockTimeoutMs: within('lock_timeout', lockTimeout, HOLD_BOUNDS.lockTimeout),
      leaseMs: within('lease', lease, HOLD_BOUNDS.lease),
      maxBlockMs: within('max_block', maxBlock, HOLD_BOUNDS.maxBlock),
    },
    checksums,
    probeEveryMs: probeEvery === undefined ? undefined : within('probe_every', probeEvery, HOLD_BOUNDS.probeEvery),
  };
}

/** On what terms a request wants a phase. */
export const phaseTerms = ({ refuseCpimport, timeout }: HoldAdvance): PhaseTerms => ({
  timeoutMs: timeout === undefined ? undefined : durationMs(timeout),
  refuseCpimport,
});

function within(name: string, value: Duration | undefined, bounds: Bounds): number {
  const ms = value === undefined ? undefined : durationMs(value);
  if (ms !== undefined && isWithin(ms, bounds)) return ms;
  throw new StillpointError('USAGE', `A hold needs a ${name} ${boundsText(bounds)}, not ${ms === undefined ? 'none' : formatDuration(ms)}`);
}
