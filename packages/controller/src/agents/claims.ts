import { type StillpointError, toStillpointError } from '@stillpoint/shared/errors';
import { type Clock, durationOf } from '@stillpoint/shared/time';
import type { Observer } from '../events.ts';
import { isLostContact } from './contact.ts';
import { onEveryNode } from './every-node.ts';
import type { NodeAgent } from './pool.ts';
import { openScope, type Scope, withoutNode } from './scope.ts';

/** How long a claim outlives its controller, ms: what another controller has to wait after a crash. Several renewals may fail in it. */
const CLAIM_TTL_MS = 30_000;
const TTL = durationOf(CLAIM_TTL_MS);
const RENEW_EVERY_MS = 3_000;
const RENEW_TIMEOUT_MS = 3_000;
/** A node that has just lost its operation clears up first. */
const CLAIM_TIMEOUT_MS = 10_000;
/** Giving back waits for cancelled work to end, so it takes longer. */
const RELEASE_TIMEOUT_MS = 30_000;

/** Who claims, and for what. */
export interface Claimant {
  readonly operationId: string;
  /** backup, restore, verify, delete, prune, protect, clean. */
  readonly kind: string;
  /** user@host, pid. */
  readonly owner: string;
}

export interface ClaimContext {
  readonly clock: Clock;
  readonly observe: Observer;
  readonly signal: AbortSignal;
}

/**
 * Claims nodes for an operation, renews the claims while `work` runs, and gives them back on every path; agents then
 * cancel what still runs and remove parts that were not committed. `work` gets a signal that is aborted as well when a
 * claim is lost. Nodes are claimed one by one in the order of their names, so that two controllers cannot block each
 * other with half of the nodes each.
 *
 * `onGivenBack` is called at the end if every node that may be claimed was told. Throws NODE_BUSY, or what `work` throws.
 */
export async function withClaims<R>(
  agents: readonly NodeAgent[],
  claimant: Claimant,
  context: ClaimContext,
  work: (signal: AbortSignal) => Promise<R>,
  onGivenBack: () => void = () => {},
): Promise<R> {
  const claimed: NodeAgent[] = [];
  // A claim whose answer was lost must be given back too, but that nobody can be told of one that never was is no news.
  let asked: NodeAgent | undefined;
  const scope = openScope(context.signal);
  const done = new AbortController();
  const renewing: Promise<void>[] = [];
  let brokenOff = false;
  try {
    for (const agent of agents.toSorted((a, b) => (a.node < b.node ? -1 : 1))) {
      asked = agent;
      await agent.rpc.claimNode({ ...claimant, ttl: TTL }, { signal: scope.signal, timeoutMs: CLAIM_TIMEOUT_MS });
      claimed.push(agent);
      asked = undefined;
      renewing.push(keepClaim(agent, claimant, context.clock, scope, done.signal));
    }
    return await work(scope.signal);
  } catch (error) {
    brokenOff = isBrokenOff(error, context.signal);
    throw error;
  } finally {
    done.abort();
    await Promise.all(renewing);
    const told = await Promise.all([
      giveBack(claimed, { ...claimant, brokenOff }, context.observe),
      giveBack(asked === undefined ? [] : [asked], claimant, () => {}),
    ]);
    if (told.every(Boolean)) onGivenBack();
  }
}

/**
 * Renews the claim of one node until `done`, whatever becomes of the others. An agent out of reach is not yet a lost claim: what
 * needs the agent will notice by itself. A claim that is lost ends the work, as somebody else may have been at the node.
 */
async function keepClaim(agent: NodeAgent, claimant: Claimant, clock: Clock, scope: Scope, done: AbortSignal): Promise<void> {
  while (!done.aborted) {
    await clock.sleep(RENEW_EVERY_MS, done).catch(() => {});
    if (done.aborted) return;
    try {
      await agent.rpc.claimNode({ ...claimant, ttl: TTL, renew: true }, { signal: done, timeoutMs: RENEW_TIMEOUT_MS });
    } catch (thrown) {
      const error = toStillpointError(thrown).on(agent.node);
      if (!done.aborted && !isLostContact(error)) scope.fail(error);
    }
  }
}

/** Whoever cancels wants the space back, and on a full disk it is needed: what else has failed will be begun again. */
const isBrokenOff = (error: unknown, cancelled: AbortSignal): boolean =>
  !cancelled.aborted && toStillpointError(error).code !== 'DISK_FULL';

/** Which operation gives nodes back, and whether agents are to keep for another one what can be used again. */
interface Return {
  readonly operationId: string;
  readonly brokenOff?: boolean;
}

/**
 * Gives nodes back for an operation; those that it has not claimed are fine. True when all were told. Never throws: an agent that cannot be told
 * lets the claim run out.
 */
export async function giveBack(
  agents: readonly NodeAgent[],
  { operationId, brokenOff = false }: Return,
  observe: Observer,
): Promise<boolean> {
  const told = await onEveryNode(agents, undefined, async (agent) => {
    try {
      await agent.rpc.releaseNode({ operationId, brokenOff }, { timeoutMs: RELEASE_TIMEOUT_MS });
      return true;
    } catch (thrown) {
      const error: StillpointError = toStillpointError(thrown);
      if (error.code === 'CLAIM_MISSING') return true;
      const message = `the node could not be given back: ${withoutNode(error.on(agent.node)).message}`;
      observe({ type: 'log', node: agent.node, message });
      return false;
    }
  });
  return told.every(Boolean);
}
