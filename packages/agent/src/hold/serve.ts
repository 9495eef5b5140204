import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { StillpointError, toErrorDetail, toStillpointError } from '@stillpoint/shared/errors';
import { HoldPhase, type HoldRequest, type HoldResponseSchema } from '@stillpoint/shared/proto';
import { durationOf } from '@stillpoint/shared/time';
import type { HoldDesk } from './desk.ts';
import type { DrivenHold } from './hold.ts';

type Response = MessageInitShape<typeof HoldResponseSchema>;
type Request = HoldRequest['request'];

/**
 * One stream of a hold: an answer to each request, and `failed` at any time, after which nothing is held and the stream ends.
 * The end of the stream without a release changes nothing: the lease goes on, and another stream may attach.
 */
export async function* serveHold(desk: HoldDesk, requests: AsyncIterable<HoldRequest>, signal: AbortSignal): AsyncGenerator<Response> {
  const incoming = requests[Symbol.asyncIterator]();
  let hold: DrivenHold | undefined;
  try {
    for (;;) {
      const next = await nextOrLost(incoming, hold);
      if (next.done === true) return;
      const { request } = next.value;
      hold = await desk.holdFor(request, hold);
      yield await answer(request, hold, signal);
      if (request.case === 'release') return;
    }
  } catch (error) {
    if (signal.aborted && !(hold?.lost.aborted ?? false)) return;
    const failure = toStillpointError(error);
    await hold?.lose(failure);
    yield { response: { case: 'failed', value: toErrorDetail(failure.on(desk.node)) } };
  }
}

/** The next request, or the loss of the hold as an error, whichever comes first. */
async function nextOrLost(incoming: AsyncIterator<HoldRequest>, hold: DrivenHold | undefined): Promise<IteratorResult<HoldRequest>> {
  if (hold === undefined) return incoming.next();
  const lost = Promise.withResolvers<never>();
  const onLost = (): void => lost.reject(hold.lost.reason as Error);
  if (hold.lost.aborted) onLost();
  hold.lost.addEventListener('abort', onLost, { once: true });
  try {
    return await Promise.race([lost.promise, incoming.next()]);
  } finally {
    hold.lost.removeEventListener('abort', onLost);
  }
}

async function answer(request: Request, hold: DrivenHold, signal: AbortSignal): Promise<Response> {
  switch (request.case) {
    case 'acquire':
      await hold.acquire(signal);
      return acquired(hold);
    case 'attach':
      hold.renew();
      return acquired(hold);
    case 'advance':
      return advance(request.value.phase);
    case 'renew':
      return { response: { case: 'renewed', value: { held: durationOf(hold.renew()) } } };
    case 'attest': {
      const { position, heldMs } = await hold.attest();
      const connectionId = BigInt(hold.lock?.connectionId ?? 0);
      return { response: { case: 'attested', value: { connectionId, held: durationOf(heldMs), ...(position && { position }) } } };
    }
    case 'release':
      return { response: { case: 'released', value: { blocked: durationOf(await hold.release()) } } };
    case undefined:
      throw new StillpointError('USAGE', 'A request on the hold stream says nothing');
    default:
      return request satisfies never;
  }
}

function acquired({ lock, lockWaitMs, sources }: DrivenHold): Response {
  return {
    response: {
      case: 'acquired',
      value: {
        waited: durationOf(lockWaitMs),
        sources: [...sources],
        connectionId: BigInt(lock?.connectionId ?? 0),
        ...(lock && {
          position: lock.position,
          requestedAt: timestampFromDate(lock.requestedAt),
          grantedAt: timestampFromDate(lock.grantedAt),
        }),
      },
    },
  };
}

/**
 * Phases beyond the SQL lock belong to ColumnStore; its engine side hooks in here. Whatever it suspends, `release` and `lose`
 * must resume first, before the SQL lock goes: writers that are let go into a read-only engine fail and leave table locks behind.
 */
function advance(phase: HoldPhase): never {
  const name = Object.entries(HoldPhase).find(([, value]) => value === phase)?.[0] ?? String(phase);
  throw new StillpointError('COLUMNSTORE_UNSUPPORTED', `This node cannot reach phase ${name}: it has no ColumnStore that could be held`);
}
