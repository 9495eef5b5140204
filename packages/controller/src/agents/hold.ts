import type { MessageInitShape } from '@bufbuild/protobuf';
import { StillpointError, toStillpointError } from '@stillpoint/shared/errors';
import type { ChecksumRequestSchema, HoldAcquired, HoldAdvance, HoldAdvanced, HoldAttested, HoldReleased } from '@stillpoint/shared/proto';
import { type Clock, durationOf } from '@stillpoint/shared/time';
import { type HoldStream, openHoldStream } from './hold-stream.ts';
import type { NodeAgent } from './pool.ts';
import { unlessAborted } from './scope.ts';

/** How much longer than its bound an agent may take to answer, ms. Other nodes' writers wait for a frozen one meanwhile. */
const ANSWER_MARGIN_MS = 2_000;
/** How long a node may take to be ready for its lock, ms; one of the engine, whose engine must be writable, and a guardian stand by. */
const READY_TIMEOUT_MS = 5_000;
const READY_ENGINE_TIMEOUT_MS = 20_000;
/** Longest wait for a proof, ms: of a lock; and of an engine, whose programs are asked for its state and its locks. */
const ATTEST_TIMEOUT_MS = 5_000;
const ATTEST_ENGINE_TIMEOUT_MS = 30_000;
/**
 * Longest wait for a release to be confirmed, ms. The agent lets go by itself when the lease has run out. One of the engine first sees
 * the engine read-write again, for which it waits a minute at most, and a lease longer where another node does it.
 */
const RELEASE_TIMEOUT_MS = 5_000;
const RELEASE_ENGINE_TIMEOUT_MS = 75_000;
/** How long to try to take up a hold whose connection broke, ms: meanwhile the writers of all nodes wait, perhaps for an agent that is dead. */
const REATTACH_FOR_MS = 3_000;
/** How long to wait for an agent to break off its wait for a lock, ms. */
const GIVE_UP_TIMEOUT_MS = 500;
const RENEW_EVERY_MS = 1_000;

/** On what terms a hold is taken; see HoldAcquire. */
export interface HoldTerms {
  readonly operationId: string;
  readonly lockTimeoutMs: number;
  readonly leaseMs: number;
  readonly maxBlockMs: number;
  /** True on a node of the engine, which takes its time to get ready, to attest and to let go. */
  readonly engine?: boolean;
  readonly checksums?: MessageInitShape<typeof ChecksumRequestSchema>;
  /** How often a probe writes its row meanwhile; undefined for no probe. */
  readonly probeEveryMs?: number;
}

/** How a node let go. */
export interface Release {
  /** What the agent said; undefined when it did not confirm it. */
  readonly released?: HoldReleased;
  /** Why it was not confirmed: what the hold had failed with before or in letting go, or DEADLINE. */
  readonly error?: StillpointError;
}

/** One node standing still. */
export interface NodeHold {
  readonly node: string;
  /** What the agent said when the lock was granted. */
  readonly acquired: HoldAcquired;
  /** When we asked for it and when we heard that it was granted, by our monotonic clock, ms. */
  readonly askedAtMs: number;
  readonly grantedAtMs: number;
  /** Aborted, with the failure as reason, when the hold is lost. Not aborted by `release`. */
  readonly lost: AbortSignal;
  /** Goes on to another phase. Throws what the agent failed with, or DEADLINE. */
  advance(to: Pick<HoldAdvance, 'phase' | 'refuseCpimport'>, timeoutMs: number): Promise<HoldAdvanced>;
  /** Asks for the proof that nothing has moved. Throws what the agent failed with, or DEADLINE. */
  attest(): Promise<HoldAttested>;
  /** Lets go, once however often it is called. Never throws. */
  release(): Promise<Release>;
}

/** A hold that can be taken at once; nobody waits yet. */
export interface ReadyHold {
  /**
   * Makes the node stand still, and keeps it so by renewing its lease each second until it is released or lost. An agent that does not answer
   * for a whole lease counts as lost. Throws LOCK_TIMEOUT and whatever else the agent fails with, DEADLINE, or the signal's reason; nothing
   * is held then, as far as the agent can be told.
   */
  take(signal: AbortSignal): Promise<NodeHold>;
  /** Gives it up, unless it was taken. Never throws. */
  giveUp(): Promise<void>;
}

/**
 * Has a node make its hold ready: what takes time there (a guardian that starts) is no part of the wait of any writer. Throws what the agent
 * fails with, DEADLINE, or the signal's reason.
 */
export async function readyHold(agent: NodeAgent, terms: HoldTerms, clock: Clock, signal: AbortSignal): Promise<ReadyHold> {
  const { node } = agent;
  const stream = openHoldStream(agent, terms.operationId, clock, Math.min(terms.leaseMs / 2, REATTACH_FOR_MS));
  try {
    const ready = stream.ask({ case: 'prepare', value: acquireOf(terms) }, 'ready');
    await unlessAborted(within(clock, boundsOf(terms).readyMs + ANSWER_MARGIN_MS, node, 'prepare', ready), signal);
  } catch (error) {
    await letGo(stream, node, clock, GIVE_UP_TIMEOUT_MS);
    throw error;
  }
  let taken = false;
  return {
    take: (within) => {
      taken = true;
      return takeHold(agent, stream, terms, clock, within);
    },
    giveUp: async () => {
      if (!taken) await letGo(stream, node, clock, GIVE_UP_TIMEOUT_MS);
    },
  };
}

async function takeHold(agent: NodeAgent, stream: HoldStream, terms: HoldTerms, clock: Clock, signal: AbortSignal): Promise<NodeHold> {
  const { node } = agent;
  const { attestMs, lockMs, releaseMs } = boundsOf(terms);
  const askedAtMs = clock.monotonicMs();
  try {
    const acquiring = stream.ask({ case: 'acquire', value: acquireOf(terms) }, 'acquired');
    const acquired = await unlessAborted(within(clock, lockMs + ANSWER_MARGIN_MS, node, 'lock', acquiring), signal);
    const grantedAtMs = clock.monotonicMs();
    const ending = new AbortController();
    void keepAlive(stream, node, terms.leaseMs, clock, ending.signal);
    let released: Promise<Release> | undefined;
    return {
      node,
      acquired,
      askedAtMs,
      grantedAtMs,
      lost: stream.failed,
      advance: (to, timeoutMs) => {
        const advancing = stream.ask({ case: 'advance', value: { ...to, timeout: durationOf(timeoutMs) } }, 'advanced');
        return within(clock, timeoutMs + ANSWER_MARGIN_MS, node, 'phase', advancing);
      },
      attest: () => within(clock, attestMs, node, 'attest', stream.ask({ case: 'attest', value: {} }, 'attested')),
      release: () => {
        ending.abort();
        released ??= letGo(stream, node, clock, releaseMs);
        return released;
      },
    };
  } catch (error) {
    const { released } = await letGo(stream, node, clock, GIVE_UP_TIMEOUT_MS);
    if (released === undefined && !stream.failed.aborted) await letGoAnew(agent, terms.operationId, clock);
    throw error;
  }
}

interface Bounds {
  readonly readyMs: number;
  readonly lockMs: number;
  readonly attestMs: number;
  readonly releaseMs: number;
}

function boundsOf({ engine, leaseMs, lockTimeoutMs: lockMs }: HoldTerms): Bounds {
  if (engine !== true) return { readyMs: READY_TIMEOUT_MS, lockMs, attestMs: ATTEST_TIMEOUT_MS, releaseMs: RELEASE_TIMEOUT_MS };
  const releaseMs = leaseMs + RELEASE_ENGINE_TIMEOUT_MS;
  return { readyMs: READY_ENGINE_TIMEOUT_MS, lockMs, attestMs: ATTEST_ENGINE_TIMEOUT_MS, releaseMs };
}

const acquireOf = ({ operationId, lockTimeoutMs, leaseMs, maxBlockMs, checksums, probeEveryMs }: HoldTerms) => ({
  operationId,
  lockTimeout: durationOf(lockTimeoutMs),
  lease: durationOf(leaseMs),
  maxBlock: durationOf(maxBlockMs),
  ...(checksums === undefined ? {} : { checksums }),
  ...(probeEveryMs === undefined ? {} : { probeEvery: durationOf(probeEveryMs) }),
});

/** Until the hold is over, or about to be: an agent that is letting go answers no renewal. */
async function keepAlive(stream: HoldStream, node: string, leaseMs: number, clock: Clock, ending: AbortSignal): Promise<void> {
  const everyMs = Math.min(RENEW_EVERY_MS, leaseMs / 4);
  const until = AbortSignal.any([stream.over, ending]);
  while (!until.aborted) {
    stream.tell({ case: 'renew', value: {} });
    await clock.sleep(everyMs, until).catch(() => {});
    if (!until.aborted && stream.silentMs() > leaseMs) {
      stream.fail(
        new StillpointError('HOLD_LOST', `${node}: the agent has not answered for ${leaseMs} ms, the length of the lease`, { node }),
      );
    }
  }
}

/** Released, or already failed, or out of reach: in any case the talk is over afterwards. */
async function letGo(stream: HoldStream, node: string, clock: Clock, timeoutMs: number): Promise<Release> {
  try {
    return { released: await within(clock, timeoutMs, node, 'release', stream.ask({ case: 'release', value: {} }, 'released')) };
  } catch (thrown) {
    return { error: toStillpointError(thrown).on(node) };
  } finally {
    stream.close();
  }
}

/**
 * An agent that is waiting for the lock answers nothing else, so its talk was broken off, and with it the wait. Should the
 * lock have been granted at that very moment, it would stay until the lease runs out: a talk of its own lets it go.
 */
async function letGoAnew(agent: NodeAgent, operationId: string, clock: Clock): Promise<void> {
  const stream = openHoldStream(agent, operationId, clock, 0);
  stream.tell({ case: 'attach', value: { operationId } });
  await letGo(stream, agent.node, clock, GIVE_UP_TIMEOUT_MS);
}

/** Bounds the wait for an answer: a frozen agent keeps its connection open and says nothing. */
async function within<T>(clock: Clock, ms: number, node: string, what: string, answer: Promise<T>): Promise<T> {
  const answered = new AbortController();
  const late = clock.sleep(ms, answered.signal).then(() => {
    throw new StillpointError('DEADLINE', `${node}: no answer to ${what} within ${ms} ms`, { node });
  });
  late.catch(() => {});
  try {
    return await Promise.race([answer, late]);
  } finally {
    answered.abort();
  }
}
