import type { MessageInitShape } from '@bufbuild/protobuf';
import { durationFromMs, durationMs } from '@bufbuild/protobuf/wkt';
import { type ErrorCode, StillpointError, toErrorDetail, toStillpointError } from '@stillpoint/shared/errors';
import { type HoldAcquire, type HoldAdvance, HoldPhase, type HoldRequest, type HoldResponseSchema } from '@stillpoint/shared/proto';
import { eventually } from '../harness/eventually.ts';
import { enterPhase, isPrimary, standOf } from './fake-engine.ts';
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
    // Whatever ends the hold, the engine takes writes before anybody may write.
    if (node.engine !== undefined && isPrimary(node.engine)) node.engine.shared.readOnly = false;
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

/** Requests in order; `onRelease` is called as soon as one to let go has come, whatever is being answered. */
function readAhead(requests: AsyncIterable<HoldRequest>, onRelease: () => void): { next(): Promise<HoldRequest | undefined> } {
  const waiting: HoldRequest[] = [];
  let ended: { readonly error?: unknown } | undefined;
  let wake = (): void => {};
  const read = async (): Promise<void> => {
    for await (const request of requests) {
      waiting.push(request);
      if (request.request.case === 'release') onRelease();
      wake();
    }
  };
  void read()
    .then(
      () => ({}),
      (error: unknown) => ({ error }),
    )
    .then((how) => {
      ended = how;
      wake();
    });
  return {
    next: async () => {
      for (;;) {
        const request = waiting.shift();
        if (request !== undefined) return request;
        if (ended !== undefined && 'error' in ended) throw ended.error;
        if (ended !== undefined) return undefined;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
}

/** One stream of a hold. A stream that breaks leaves the hold to its lease. */
export async function* serveHold(
  node: FakeNode,
  place: HoldPlace,
  requests: AsyncIterable<HoldRequest>,
  signal: AbortSignal,
): AsyncGenerator<Response> {
  const letGo = new AbortController();
  const incoming = readAhead(requests, () => letGo.abort(new StillpointError('CANCELLED', 'it is to be let go')));
  let mine: FakeHold | undefined;
  try {
    for (;;) {
      const next = await unlessAborted(incoming.next(), mine?.lost ?? signal);
      if (next === undefined) return;
      const { request } = next;
      // A release does not queue behind what has become pointless.
      const pointless = request.case === 'advance' || request.case === 'attest' ? letGo.signal : undefined;
      const until = pointless === undefined ? signal : AbortSignal.any([signal, pointless]);
      const said = await answer(node, place, request, until).catch((error: unknown) => {
        if (pointless?.aborted !== true || signal.aborted) throw error;
      });
      if (said !== undefined) yield said;
      // Before it is taken there is only that of an earlier attempt, which is over.
      if (request.case !== 'prepare') mine = place.hold;
      if (request.case === 'release') return;
    }
  } catch (thrown) {
    const error = toStillpointError(thrown);
    if (signal.aborted && !(mine?.lost.aborted ?? false)) return;
    mine?.lose(error.code, error.message);
    yield { response: { case: 'failed', value: toErrorDetail(error.on(node.name)) } };
  }
}

async function answer(node: FakeNode, place: HoldPlace, request: HoldRequest['request'], signal: AbortSignal): Promise<Response> {
  if (request.case === 'prepare') {
    await node.faults.reach('hold.ready', signal);
    return { response: { case: 'ready', value: {} } };
  }
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
      return advance(node, hold, request.value, signal);
    case 'attest': {
      await node.faults.reach('hold.attest', signal);
      if (!hold.inForce) throw hold.lost.reason as Error;
      const engine = node.engine === undefined ? {} : { engine: standOf(node.engine) };
      return { response: { case: 'attested', value: { position: positionOf(node), connectionId: hold.connectionId, ...engine } } };
    }
    case 'release': {
      await node.faults.reach('hold.release', signal);
      const resumed = await resumeEngine(node, signal);
      hold.release();
      return { response: { case: 'released', value: { blocked: durationFromMs(1_234), ...resumed } } };
    }
    case undefined:
      throw new StillpointError('USAGE', 'a request that says nothing');
  }
}

const POINTS: ReadonlyMap<HoldPhase, string> = new Map([
  [HoldPhase.DRAIN, 'drain'],
  [HoldPhase.SUSPEND, 'suspend'],
  [HoldPhase.FLUSH, 'flush'],
]);

async function advance(node: FakeNode, hold: FakeHold, { phase, refuseCpimport }: HoldAdvance, signal: AbortSignal): Promise<Response> {
  const { engine } = node;
  if (engine === undefined) throw new StillpointError('COLUMNSTORE_UNSUPPORTED', 'no engine here');
  await node.faults.reach(`hold.${POINTS.get(phase)}`, signal);
  if (!hold.inForce) throw hold.lost.reason as Error;
  node.history.push(enterPhase(engine, phase, refuseCpimport));
  return {
    response: { case: 'advanced', value: { phase, ...(phase === HoldPhase.SUSPEND ? { engine: standOf(engine) } : {}) } },
  };
}

/** The primary sets the engine read-write; all others let nobody go before it is. */
async function resumeEngine(node: FakeNode, signal: AbortSignal) {
  const { engine } = node;
  if (engine === undefined || !engine.shared.readOnly) return {};
  if (!isPrimary(engine)) {
    await eventually(() => !engine.shared.readOnly);
    return {};
  }
  await node.faults.reach('hold.resume', signal);
  engine.shared.readOnly = false;
  node.history.push('resumed');
  return { engineResume: durationFromMs(321), stuckLocks: [...engine.shared.stuckLocks] };
}

const acquired = (node: FakeNode, { connectionId }: FakeHold): Response => ({
  response: { case: 'acquired', value: { position: positionOf(node), connectionId, waited: durationFromMs(1) } },
});
