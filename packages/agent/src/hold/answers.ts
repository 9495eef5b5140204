import type { MessageInitShape } from '@bufbuild/protobuf';
import { durationFromMs, timestampFromDate } from '@bufbuild/protobuf/wkt';
import { toErrorDetail } from '@stillpoint/shared/errors';
import type { HoldPhase, HoldResponseSchema } from '@stillpoint/shared/proto';
import type { NodeHold } from './node-hold.ts';

/** What is said on the stream of a hold. */
export type HoldAnswer = NonNullable<MessageInitShape<typeof HoldResponseSchema>['response']>;

const duration = (ms: number): ReturnType<typeof durationFromMs> => durationFromMs(Math.round(ms));
const connectionIdOf = ({ lock }: NodeHold): bigint => BigInt(lock?.connectionId ?? 0);

/** The hold is in force. */
export const acquiredAnswer = (hold: NodeHold): HoldAnswer => ({
  case: 'acquired',
  value: {
    requestedAt: timestampFromDate(hold.requestedAt),
    grantedAt: timestampFromDate(hold.grantedAt),
    waited: duration(hold.lockWaitMs),
    sources: [...hold.sources],
    connectionId: connectionIdOf(hold),
    ...(hold.position && { position: hold.position }),
  },
});

/** The lease was pushed out. */
export const renewedAnswer = ({ heldMs }: NodeHold): HoldAnswer => ({ case: 'renewed', value: { held: duration(heldMs) } });

/** A phase was reached. */
export const advancedAnswer = (phase: HoldPhase, tookMs: number): HoldAnswer => ({
  case: 'advanced',
  value: { phase, took: duration(tookMs) },
});

/** It was proven that nothing has moved. */
export const attestedAnswer = (hold: NodeHold): HoldAnswer => ({
  case: 'attested',
  value: { connectionId: connectionIdOf(hold), held: duration(hold.heldMs), ...(hold.position && { position: hold.position }) },
});

/** How a hold has ended: the last that is said about it. */
export function lastAnswer({ blockedMs, state }: NodeHold, node: string): HoldAnswer {
  if (state.at === 'lost') return { case: 'failed', value: toErrorDetail(state.error.on(node)) };
  return { case: 'released', value: { blocked: duration(blockedMs) } };
}

/** True for what `lastAnswer` gives. */
export const isLast = ({ case: kind }: HoldAnswer): boolean => kind === 'released' || kind === 'failed';
