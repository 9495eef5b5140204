import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { StillpointError } from '@stillpoint/shared/errors';
import type { OperationKind } from '@stillpoint/shared/operation';
import type { ClaimSchema } from '@stillpoint/shared/proto';
import { type Clock, durationOf, formatDuration } from '@stillpoint/shared/time';

/** Who wants the node. */
export interface ClaimRequest {
  readonly operationId: string;
  readonly kind: OperationKind;
  /** user@host, pid of the controller. */
  readonly owner: string;
  /** How long the claim lives without a renewal, milliseconds. */
  readonly ttlMs: number;
  /** A claim that was lost is not to be claimed anew. */
  readonly renew?: boolean;
}

type ClaimMessage = MessageInitShape<typeof ClaimSchema>;

/** The node's owner: one operation at a time. Its id is a fencing token, so two controllers cannot both act. */
export interface Claims {
  /** Claims the node, or renews the claim. Throws NODE_BUSY, CLAIM_MISSING for a renewal of nothing, or what `admit` throws. */
  claim(request: ClaimRequest): Promise<ClaimMessage>;
  /** Throws CLAIM_MISSING unless the operation owns the node. */
  require(operationId: string): void;
  /** Does something that only the owner may do; the claim does not end meanwhile. Throws CLAIM_MISSING. */
  within<T>(operationId: string, work: () => Promise<T>): Promise<T>;
  /** Gives the node back, once everything of the operation is undone; nothing to do for anybody but the owner. `why`: `released` by default. */
  release(operationId: string, why?: 'released' | 'broken-off'): Promise<void>;
  current(): ClaimMessage | undefined;
  /** Gives back what is claimed: the agent stops. */
  stop(): Promise<void>;
}

export interface ClaimRules {
  readonly clock: Clock;
  /** Throws when this node must not be claimed for that. */
  admit(request: ClaimRequest): Promise<void>;
  /** Told of a new owner. */
  claimed(request: ClaimRequest): Promise<void>;
  /** True while work of the operation runs that keeps the claim alive without its controller. */
  outlives(operationId: string): boolean;
  /** Ends everything of the operation. Never throws. */
  end(operationId: string, why: EndOfClaim): Promise<void>;
}

/** Given back by its owner, or because that was interrupted and will be begun again, not renewed in time, or given back because the agent stops. */
export type EndOfClaim = 'released' | 'broken-off' | 'expired' | 'stopped';

interface Owner extends ClaimRequest {
  readonly since: Date;
  readonly over: AbortController;
  readonly calls: Set<Promise<unknown>>;
  deadlineMs: number;
  ending: Promise<void> | undefined;
}

/** How often a claim is looked at that lives on because of running work, milliseconds. */
const LOOK_AGAIN_MS = 250;

/** A free node. */
export function createClaims(rules: ClaimRules): Claims {
  const { clock } = rules;
  let owner: Owner | undefined;
  // Claims are decided one after the other.
  let turn: Promise<unknown> = Promise.resolve();

  const require = (operationId: string): Owner => {
    if (owner?.operationId === operationId && owner.ending === undefined) return owner;
    const who = owner === undefined ? 'nobody owns it' : `${owner.operationId} does`;
    throw new StillpointError('CLAIM_MISSING', `Operation ${operationId} does not own this node: ${who}`);
  };
  const end = (of: Owner, why: EndOfClaim): Promise<void> => {
    of.ending ??= (async () => {
      of.over.abort();
      await Promise.allSettled(of.calls);
      await rules.end(of.operationId, why);
      owner = undefined;
    })();
    return of.ending;
  };
  const watch = async (of: Owner): Promise<void> => {
    while (!of.over.signal.aborted) {
      const left = of.deadlineMs - clock.monotonicMs();
      if (left <= 0 && !rules.outlives(of.operationId)) return end(of, 'expired');
      await clock.sleep(left > 0 ? left : LOOK_AGAIN_MS, of.over.signal).catch(() => undefined);
    }
  };
  const begin = async (request: ClaimRequest): Promise<Owner> => {
    await rules.admit(request);
    await rules.claimed(request);
    const deadlineMs = clock.monotonicMs() + request.ttlMs;
    const begun: Owner = { ...request, since: clock.now(), over: new AbortController(), calls: new Set(), deadlineMs, ending: undefined };
    void watch(begun);
    return begun;
  };
  const decide = async (request: ClaimRequest): Promise<ClaimMessage> => {
    if (owner !== undefined && (owner.operationId !== request.operationId || owner.ending !== undefined)) {
      throw busy(owner, clock, rules.outlives(owner.operationId));
    }
    if (request.renew) require(request.operationId);
    owner ??= await begin(request);
    owner.deadlineMs = clock.monotonicMs() + request.ttlMs;
    return messageOf(owner, clock);
  };
  return {
    claim: (request) => {
      const decided = turn.then(() => decide(request));
      turn = decided.catch(() => undefined);
      return decided;
    },
    require,
    within: async (operationId, work) => {
      const { calls } = require(operationId);
      const call = work();
      calls.add(call);
      return call.finally(() => calls.delete(call));
    },
    release: async (operationId, why = 'released') => {
      // A claim whose answer was not waited for may still be on its way.
      await turn;
      if (owner?.operationId === operationId) await end(owner, why);
    },
    current: () => (owner === undefined ? undefined : messageOf(owner, clock)),
    stop: async () => {
      await turn;
      if (owner !== undefined) await end(owner, 'stopped');
    },
  };
}

const leftOf = ({ deadlineMs }: Owner, clock: Clock): number => Math.max(0, deadlineMs - clock.monotonicMs());

function messageOf(of: Owner, clock: Clock): ClaimMessage {
  const { operationId, kind, owner, since } = of;
  return { operationId, kind, owner, since: timestampFromDate(since), expiresIn: durationOf(leftOf(of, clock)) };
}

function busy(of: Owner, clock: Clock, works: boolean): StillpointError {
  const { ending, kind, operationId, owner, since } = of;
  const left = leftOf(of, clock);
  const until =
    ending !== undefined
      ? 'it is just giving it back'
      : left > 0
        ? `unless renewed, its claim runs out in ${formatDuration(left)}`
        : `its controller is gone${works ? ', but its work on this node goes on' : ''}`;
  return new StillpointError(
    'NODE_BUSY',
    `The node is claimed by ${kind} ${operationId} of ${owner} since ${since.toISOString()}; ${until}`,
  );
}
