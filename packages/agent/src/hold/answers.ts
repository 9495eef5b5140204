import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { StillpointError, toErrorDetail } from '@stillpoint/shared/errors';
import { type EngineStandSchema, HoldPhase, type HoldResponseSchema, type ProbeFeltSchema } from '@stillpoint/shared/proto';
import { durationOf } from '@stillpoint/shared/time';
import type { Stand } from '../columnstore/suspend/index.ts';
import type { NodeHold } from './node-hold.ts';

/** What is said on the stream of a hold. */
export type HoldAnswer = NonNullable<MessageInitShape<typeof HoldResponseSchema>['response']>;

const connectionIdOf = ({ lock }: NodeHold): bigint => BigInt(lock?.connectionId ?? 0);

/** It can be taken at once. */
export const READY: HoldAnswer = { case: 'ready', value: {} };

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
export const advancedAnswer = (hold: NodeHold, phase: HoldPhase, tookMs: number): HoldAnswer => ({
  case: 'advanced',
  value: { phase, took: durationOf(tookMs), ...(phase === HoldPhase.SUSPEND && engineOf(hold)) },
});

/** It was proven that nothing has moved. */
export const attestedAnswer = (hold: NodeHold): HoldAnswer => ({
  case: 'attested',
  value: {
    connectionId: connectionIdOf(hold),
    held: durationOf(hold.heldMs),
    ...(hold.position && { position: hold.position }),
    ...engineOf(hold),
  },
});

/** The engine as it stands: an attestation fails unless that is as it stood when it was suspended. */
const engineOf = ({ engine }: NodeHold): { engine?: MessageInitShape<typeof EngineStandSchema> } =>
  engine?.stand === undefined ? {} : { engine: standOf(engine.stand) };

const standOf = ({
  configRevision,
  configSha256,
  controllerPid,
  controllerStarted,
}: Stand): MessageInitShape<typeof EngineStandSchema> => ({
  configRevision: BigInt(configRevision),
  configSha256,
  controllerPid,
  controllerStarted,
});

/** How a hold has ended: the last that is said about it. That the engine is not read-write again is more urgent than what ended the hold. */
export function lastAnswer(hold: NodeHold, node: string): HoldAnswer {
  const { blockedMs, engine, state } = hold;
  const failure = engine?.failure;
  const failed = (error: StillpointError): HoldAnswer => ({ case: 'failed', value: toErrorDetail(error.on(node)) });
  if (state.at === 'lost') return failed(failure === undefined ? state.error : withBoth(failure, state.error));
  if (failure !== undefined) return failed(failure);
  const resumed = engine?.resumed;
  const resume = resumed && { engineResume: durationOf(resumed.tookMs), stuckLocks: [...resumed.stuckLocks] };
  return { case: 'released', value: { blocked: durationOf(blockedMs), ...resume, ...probeOf(hold) } };
}

function probeOf({ felt }: NodeHold): { probe?: MessageInitShape<typeof ProbeFeltSchema> } {
  if (felt === undefined) return {};
  const { longestMs, writes, failure = '' } = felt;
  return { probe: { longest: durationOf(longestMs), writes: BigInt(writes), failure } };
}

const withBoth = (failure: StillpointError, cause: StillpointError): StillpointError =>
  new StillpointError(failure.code, `${failure.message}. The hold had ended with ${cause.code}: ${cause.message}`, {
    hint: failure.hint,
    cause,
  });

/** True for what `lastAnswer` gives. */
export const isLast = ({ case: kind }: HoldAnswer): boolean => kind === 'released' || kind === 'failed';
