import { durationMs } from '@bufbuild/protobuf/wkt';
import { StillpointError } from '@stillpoint/shared/errors';
import type { HoldAcquire, HoldRequest } from '@stillpoint/shared/proto';
import type { Agent } from '../agent.ts';
import { acquireLock } from '../mariadb/lock.ts';
import { accountOf } from '../mariadb/session.ts';
import { openSnapshots } from '../mariadb/snapshots.ts';
import type { Claims } from '../operation/claims.ts';
import type { Journal } from '../operation/journal.ts';
import { createHold, type DrivenHold } from './hold.ts';
import type { DrivenHolds } from './registry.ts';
import type { Granted } from './state.ts';

/** Finds or makes the hold that a request is about. */
export interface HoldDesk {
  readonly node: string;
  /** The hold of the stream so far, a new one (acquire), or one taken up again (attach). Throws CLAIM_MISSING, HOLD_LOST or USAGE. */
  holdFor(request: HoldRequest['request'], current: DrivenHold | undefined): Promise<DrivenHold>;
}

const FALLBACK = { lockTimeoutMs: 5_000, leaseMs: 10_000, maxBlockMs: 60_000 };

/** What the bounds of a request say; a missing one gets the product's default. */
function boundsOf(request: HoldAcquire): { lockTimeoutMs: number; leaseMs: number; maxBlockMs: number } {
  const ms = (value: HoldAcquire['lease'], fallback: number): number => {
    const given = value === undefined ? fallback : durationMs(value);
    if (given > 0) return given;
    throw new StillpointError('USAGE', `A hold needs bounds above zero, got ${given} ms`);
  };
  return {
    lockTimeoutMs: ms(request.lockTimeout, FALLBACK.lockTimeoutMs),
    leaseMs: ms(request.lease, FALLBACK.leaseMs),
    maxBlockMs: ms(request.maxBlock, FALLBACK.maxBlockMs),
  };
}

/** The desk of a running agent. */
export function createHoldDesk(agent: Agent, holds: DrivenHolds, claims: Claims, journal: Journal): HoldDesk {
  const begin = async (request: HoldAcquire): Promise<DrivenHold> => {
    const { operationId } = request;
    claims.require(operationId);
    const { lockTimeoutMs, ...bounds } = boundsOf(request);
    const record = (blockedMs: number, reason: string): void => {
      const at = agent.clock.now().toISOString();
      journal.append(operationId, { type: 'let-go', at, blockedMs, reason }).catch((err: unknown) => agent.log.error({ err }, 'journal'));
    };
    const hold = createHold({
      operationId,
      bounds,
      clock: agent.clock,
      take: (signal) => takeLock(agent, request, { lockTimeoutMs, leaseMs: bounds.leaseMs }, signal),
      onEnd: (blockedMs, error) => {
        const ms = Math.round(blockedMs);
        record(ms, error === undefined ? 'released' : `${error.code}: ${error.message}`);
        if (error === undefined) agent.log.info({ operation: operationId, blockedMs: ms }, 'hold released');
        else agent.log.warn({ operation: operationId, blockedMs: ms, code: error.code }, `hold ended: ${error.message}`);
      },
    });
    await holds.set(hold);
    agent.log.info({ operation: operationId }, 'hold requested');
    return hold;
  };
  return {
    node: agent.config.node,
    holdFor: async (request, current) => {
      if (current !== undefined && request.case !== 'acquire' && request.case !== 'attach') return current;
      if (request.case === 'acquire') return begin(request.value);
      if (request.case !== 'attach') throw new StillpointError('USAGE', 'A hold stream begins with acquire or attach');
      claims.require(request.value.operationId);
      return holds.require(request.value.operationId);
    },
  };
}

async function takeLock(
  agent: Agent,
  request: HoldAcquire,
  bounds: { lockTimeoutMs: number; leaseMs: number },
  signal: AbortSignal,
): Promise<Granted> {
  const { mariadb } = agent.config;
  if (mariadb === undefined) return { lock: undefined, snapshots: undefined };
  const account = accountOf(mariadb);
  const lock = await acquireLock(account, { timeoutMs: bounds.lockTimeoutMs, leaseMs: bounds.leaseMs, clock: agent.clock, signal });
  if (request.checksums === undefined) return { lock, snapshots: undefined };
  try {
    const { include, exclude, connections } = request.checksums;
    return { lock, snapshots: await openSnapshots(account, { include, exclude, connections, signal }) };
  } catch (error) {
    await lock.release();
    throw error;
  }
}
