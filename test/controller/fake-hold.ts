import type { MessageInitShape } from '@bufbuild/protobuf';
import { durationFromMs, durationMs } from '@bufbuild/protobuf/wkt';
import { type ErrorCode, StillpointError, toErrorDetail, toStillpointError } from '@stillpoint/shared/errors';
import type { HoldAcquire, HoldRequest, HoldResponseSchema } from '@stillpoint/shared/proto';
import { type FakeNode, positionOf } from './fake-node.ts';
import { unlessAborted } from './faults.ts';

type Response = MessageInitShape<typeof HoldResponseSchema>;

/** A lock under a lease, as a real agent keeps it. */
export interface FakeHold {
  readonly operationId: string;
  readonly inForce: boolean;
  /** Aborted when the hold ends otherwise than by a release. */
  readonly lost: AbortSignal;
  renew(): void;
  release(): void;
  lose(code: ErrorCode, message: string): void;
  readonly connectionId: bigint;
}

/** Shuts writers out until released, or until the lease or the budget has run out. */
function fakeHold(node: FakeNode, { operationId, lease, maxBlock }: HoldAcquire, connectionId: bigint): FakeHold {
  const leaseMs = lease === undefined ? 0 : durationMs(lease);
  const lost = new AbortController();
  let inForce = true;
  let leaseTimer: NodeJS.Timeout | undefined;
  const end = (why: string): boolean => {
    if (!inForce) return false;
    inForce = false;
    clearTimeout(leaseTimer);
    clearTimeout(budgetTimer);
    node.locked = false;
    node.history.push(`unlocked: ${why}`);
    return true;
  };
  const lose = (code: ErrorCode, message: string): void => {
    if (end(code)) lost.abort(new StillpointError(code, message, { node: node.name }));
  };
  const renew = (): void => {
    clearTimeout(leaseTimer);
    if (inForce) leaseTimer = setTimeout(() => lose('LEASE_EXPIRED', 'the lease ran out'), leaseMs);
  };
  const budgetTimer = setTimeout(
    () => lose('BLOCK_BUDGET', 'writers were shut out for too long'),
    maxBlock === undefined ? 60_000 : durationMs(maxBlock),
  );
  node.locked = true;
  node.history.push('locked');
  renew();
  return {
    operationId,
    connectionId,
    lost: lost.signal,
    renew,
    lose,
    release: () => void end('released'),
    get inForce() {
      return inForce;
    },
  };
}

/** Where the agent keeps its one hold. */
export interface HoldPlace {
  hold: FakeHold | undefined;
  connections: number;
}

/** One stream of a hold. A stream that breaks leaves the hold to its lease. */
export async function* serveHold(
  node: FakeNode,
  place: HoldPlace,
  requests: AsyncIterable<HoldRequest>,
  signal: AbortSignal,
): AsyncGenerator<Response> {
  const incoming = requests[Symbol.asyncIterator]();
  let mine: FakeHold | undefined;
  try {
    for (;;) {
      const next = await unlessAborted(incoming.next(), mine?.lost ?? signal);
      if (next.done === true) return;
      yield await answer(node, place, next.value.request, signal);
      mine = place.hold;
      if (next.value.request.case === 'release') return;
    }
  } catch (thrown) {
    const error = toStillpointError(thrown);
    if (signal.aborted && !(mine?.lost.aborted ?? false)) return;
    mine?.lose(error.code, error.message);
    yield { response: { case: 'failed', value: toErrorDetail(error.on(node.name)) } };
  }
}

async function answer(node: FakeNode, place: HoldPlace, request: HoldRequest['request'], signal: AbortSignal): Promise<Response> {
  if (request.case === 'acquire') {
    if (place.hold?.inForce) throw new StillpointError('NODE_BUSY', 'the operation holds this node already');
    place.hold = undefined;
    await node.faults.reach('hold.acquire', signal);
    place.connections += 1;
    place.hold = fakeHold(node, request.value, BigInt(place.connections));
    return acquired(node, place.hold);
  }
  const { hold } = place;
  if (hold === undefined || !hold.inForce)
    throw (hold?.lost.reason as Error | undefined) ?? new StillpointError('HOLD_LOST', 'there is no hold');
  switch (request.case) {
    case 'attach':
      node.history.push('attached');
      hold.renew();
      return acquired(node, hold);
    case 'renew':
      await node.faults.reach('hold.renew', signal);
      hold.renew();
      return { response: { case: 'renewed', value: { held: durationFromMs(1) } } };
    case 'advance':
      await node.faults.reach('hold.advance', signal);
      node.history.push(`advanced to ${request.value.phase}`);
      return { response: { case: 'advanced', value: { phase: request.value.phase } } };
    case 'attest':
      await node.faults.reach('hold.attest', signal);
      if (!hold.inForce) throw hold.lost.reason as Error;
      return { response: { case: 'attested', value: { position: positionOf(node), connectionId: hold.connectionId } } };
    case 'release':
      await node.faults.reach('hold.release', signal);
      hold.release();
      return { response: { case: 'released', value: { blocked: durationFromMs(1_234) } } };
    case undefined:
      throw new StillpointError('USAGE', 'a request that says nothing');
  }
}

const acquired = (node: FakeNode, { connectionId }: FakeHold): Response => ({
  response: { case: 'acquired', value: { position: positionOf(node), connectionId, waited: durationFromMs(1) } },
});
