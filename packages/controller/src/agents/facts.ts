import { timestampMs } from '@bufbuild/protobuf/wkt';
import { StillpointError, toStillpointError } from '@stillpoint/shared/errors';
import type { NodeFacts } from '@stillpoint/shared/proto';
import type { Clock } from '@stillpoint/shared/time';
import { VERSION } from '@stillpoint/shared/version';
import { onEveryNode } from './every-node.ts';
import type { NodeAgent } from './pool.ts';
import { openScope } from './scope.ts';

const DESCRIBE_TIMEOUT_MS = 15_000;

/** What an agent told about its node. */
export interface NodeAnswer {
  readonly node: string;
  readonly address: string;
  readonly facts: NodeFacts;
  /** How far the agent's clock is ahead of ours, ms, at best: the time the answer travelled is given in its favour. */
  readonly clockAheadMs: number;
}

/** A node that gave no answer, and why. */
export interface NodeSilence {
  readonly node: string;
  readonly address: string;
  readonly error: StillpointError;
}

/**
 * Asks one agent for everything about its node. Throws NODE_MISMATCH, VERSION_SKEW, or what the call throws.
 */
async function askFacts(agent: NodeAgent, clock: Clock, signal: AbortSignal): Promise<NodeAnswer> {
  const { node, address } = agent;
  const askedAt = clock.now().getTime();
  const { facts } = await agent.rpc.describeNode({}, { signal, timeoutMs: DESCRIBE_TIMEOUT_MS });
  const answeredAt = clock.now().getTime();
  if (facts === undefined) throw new StillpointError('INTERNAL', `${node}: the agent answered without facts`, { node });
  if (facts.node !== node)
    throw new StillpointError('NODE_MISMATCH', `the agent at ${address} calls itself ${facts.node}, not ${node}`, { node });
  if (series(facts.agentVersion) !== series(VERSION)) {
    throw new StillpointError('VERSION_SKEW', `${node}: agent ${facts.agentVersion || '(unknown)'}, controller ${VERSION}`, { node });
  }
  return { node, address, facts, clockAheadMs: aheadOf(facts.now === undefined ? askedAt : timestampMs(facts.now), askedAt, answeredAt) };
}

/** Asks all agents; throws the first failure. */
export function factsOfAll(agents: readonly NodeAgent[], clock: Clock, signal: AbortSignal): Promise<NodeAnswer[]> {
  const scope = openScope(signal);
  return onEveryNode(agents, scope, (agent) => askFacts(agent, clock, scope.signal));
}

/** Asks all agents; one that does not answer is an answer too. Throws only when the signal is aborted. */
export function factsOrSilence(agents: readonly NodeAgent[], clock: Clock, signal: AbortSignal): Promise<(NodeAnswer | NodeSilence)[]> {
  return onEveryNode(agents, undefined, async (agent) => {
    try {
      return await askFacts(agent, clock, signal);
    } catch (thrown) {
      if (signal.aborted) throw thrown;
      return { node: agent.node, address: agent.address, error: toStillpointError(thrown).on(agent.node) };
    }
  });
}

/** major.minor: versions of one series speak the same protocol. */
const series = (version: string): string => version.split('.').slice(0, 2).join('.');

const aheadOf = (told: number, askedAt: number, answeredAt: number): number =>
  told > answeredAt ? told - answeredAt : told < askedAt ? told - askedAt : 0;
