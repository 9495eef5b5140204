import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { StillpointError } from '@stillpoint/shared/errors';
import type { ClaimSchema } from '@stillpoint/shared/proto';
import { type Clock, durationOf } from '@stillpoint/shared/time';

/** Who wants the node. */
export interface ClaimRequest {
  readonly operationId: string;
  readonly kind: string;
  /** user@host, pid of the controller. */
  readonly owner: string;
  /** How long the claim lives without a renewal, milliseconds. */
  readonly ttlMs: number;
}

type ClaimMessage = MessageInitShape<typeof ClaimSchema>;

/** The node's owner: one operation at a time. Its id is a fencing token, so two controllers cannot both act. */
export interface Claims {
  /** Claims the node, or renews the claim. Throws NODE_BUSY, or what `admit` throws. */
  claim(request: ClaimRequest): Promise<ClaimMessage>;
  /** Throws CLAIM_MISSING unless the operation owns the node. */
  require(operationId: string): void;
  /** Gives the node back, once everything of the operation is undone; nothing to do for anybody but the owner. */
  release(operationId: string): Promise<void>;
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
  /** Ends everything of the operation. `expired`: nobody renewed its claim. */
  end(operationId: string, expired: boolean): Promise<void>;
}

interface Owner extends ClaimRequest {
  readonly since: Date;
  readonly over: AbortController;
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

  const message = (of: Owner): ClaimMessage => ({
    operationId: of.operationId,
    kind: of.kind,
    owner: of.owner,
    since: timestampFromDate(of.since),
    expiresIn: durationOf(of.deadlineMs - clock.monotonicMs()),
  });
  const end = (of: Owner, expired: boolean): Promise<void> => {
    of.ending ??= rules.end(of.operationId, expired).finally(() => {
      of.over.abort();
      if (owner === of) owner = undefined;
    });
    return of.ending;
  };
  const watch = async (of: Owner): Promise<void> => {
    for (;;) {
      const left = of.deadlineMs - clock.monotonicMs();
      if (left <= 0 && !rules.outlives(of.operationId)) return end(of, true);
      await clock.sleep(left > 0 ? left : LOOK_AGAIN_MS, of.over.signal);
    }
  };
  const decide = async (request: ClaimRequest): Promise<ClaimMessage> => {
    if (owner !== undefined && (owner.operationId !== request.operationId || owner.ending !== undefined))
      throw busy(message(owner), rules.outlives(owner.operationId));
    if (owner !== undefined) {
      owner.deadlineMs = clock.monotonicMs() + request.ttlMs;
      return message(owner);
    }
    await rules.admit(request);
    await rules.claimed(request);
    const mine: Owner = {
      ...request,
      since: clock.now(),
      over: new AbortController(),
      deadlineMs: clock.monotonicMs() + request.ttlMs,
      ending: undefined,
    };
    owner = mine;
    watch(mine).catch(() => undefined);
    return message(mine);
  };
  return {
    claim: (request) => {
      const decided = turn.catch(() => undefined).then(() => decide(request));
      turn = decided;
      return decided;
    },
    require: (operationId) => {
      if (owner?.operationId === operationId && owner.ending === undefined) return;
      const who = owner === undefined ? 'nobody owns it' : `${owner.operationId} does`;
      throw new StillpointError('CLAIM_MISSING', `Operation ${operationId} does not own this node: ${who}`);
    },
    release: async (operationId) => {
      if (owner?.operationId === operationId) await end(owner, false);
    },
    current: () => (owner === undefined ? undefined : message(owner)),
    stop: async () => {
      if (owner !== undefined) await end(owner, true);
    },
  };
}

function busy(claim: ClaimMessage, works: boolean): StillpointError {
  const left = Math.ceil(Number(claim.expiresIn?.seconds ?? 0n) + (claim.expiresIn?.nanos ?? 0) / 1e9);
  const until = works ? 'its work on this node goes on' : `unless renewed, its claim runs out in ${left} s`;
  return new StillpointError('NODE_BUSY', `The node is claimed by ${claim.kind} ${claim.operationId} of ${claim.owner}; ${until}`);
}
