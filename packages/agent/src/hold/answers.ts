import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { toErrorDetail } from '@stillpoint/shared/errors';
import type { HoldPhase, HoldResponseSchema } from '@stillpoint/shared/proto';
import { durationOf } from '@stillpoint/shared/time';
import type { NodeHold } from './node-hold.ts';

/** What is said on the stream of a hold. */
export type HoldAnswer = NonNullable<MessageInitShape<typeof HoldResponseSchema>['response']>;

const connectionIdOf = ({ lock }: NodeHold): bigint => BigInt(lock?.connectionId ?? 0);

/** The hold is in force. */
export const acquiredAnswer = (hold: NodeHold): HoldAnswer => ({
  case: 'acquired',
  value: {
    requestedAt: timestampFromDate(hold.requestedAt),
    grantedAt: timestampFromDate(hold.grantedAt),
    waited: durationOf(hold.lockWaitMs),
    sources: [...hold.sources],
    connectionId: connectionIdOf(hold),
    ...(hold.position && { position: hold.position }),
  },
});

/** The lease was pushed out. */
export const renewedAnswer = ({ heldMs }: NodeHold): HoldAnswer => ({ case: 'renewed', value: { held: durationOf(heldMs) } });

/** A phase was reached. */
export const advancedAnswer = (phase: HoldPhase, tookMs: number): HoldAnswer => ({
  case: 'advanced',
  value: { phase, took: durationOf(tookMs) },
});

/** It was proven that nothing has moved. */
export const attestedAnswer = (hold: NodeHold): HoldAnswer => ({
  case: 'attested',
  value: { connectionId: connectionIdOf(hold), held: durationOf(hold.heldMs), ...(hold.position && { position: hold.position }) },
});

/** How a hold has ended: the last that is said about it. */
export function lastAnswer({ blockedMs, state }: NodeHold, node: string): HoldAnswer {
  if (state.at === 'lost') return { case: 'failed', value: toErrorDetail(state.error.on(node)) };
  return { case: 'released', value: { blocked: durationOf(blockedMs) } };
}

/** True for what `lastAnswer` gives. */
export const isLast = ({ case: kind }: HoldAnswer): boolean => kind === 'released' || kind === 'failed';
