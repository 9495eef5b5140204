import { StillpointError } from '@stillpoint/shared/errors';
import type { Clock } from '@stillpoint/shared/time';
import type { Logger } from 'pino';
import type { LockGate } from '../mariadb/open-gate.ts';
import type { Journal, JournalEntry } from '../operation/journal.ts';
import { liftLimit } from '../throttle/node.ts';
import type { OpenHoldEngine } from './engine.ts';
import type { EngineEvent } from './held-engine.ts';
import { NodeHold, type NodeHoldOptions } from './node-hold.ts';
import type { HoldServer } from './server.ts';
import type { Hold } from './types.ts';

/** Holds of operations: the one in force, and released ones until their operation gives the node back. */
export interface HoldRegistry {
  get(operationId: string): Hold | undefined;
  /** Throws HOLD_LOST when the operation never had one, or none since the agent was started. */
  require(operationId: string): Hold;
}

/** The same, for those who take and end holds. */
export interface Holds extends HoldRegistry {
  get(operationId: string): NodeHold | undefined;
  require(operationId: string): NodeHold;
  /**
   * Begins to make a hold ready that `take` will take. One that the operation had before is released first: who asks anew has lost sight of
   * it. Throws the error of `loseAll` after that.
   */
  prepare(operationId: string, on: Pick<NodeHoldOptions, 'terms' | 'checksums' | 'probeEveryMs'>): NodeHold;
  /**
   * Begins to take the hold of an operation that was made ready, or another one as `prepare` does; its `granted` tells how that ends.
   * Throws as `prepare` does.
   */
  take(operationId: string, on: Pick<NodeHoldOptions, 'terms' | 'checksums' | 'probeEveryMs'>): NodeHold;
  /** Ends the hold of an operation and drops what it left behind; nothing to do when there is none. Never throws. */
  forget(operationId: string): Promise<void>;
  /** Ends all holds at once, and refuses new ones, with this error. Never throws. */
  loseAll(error: StillpointError): Promise<void>;
}

/** What the holds of a node work with. */
export interface HoldSurroundings {
  /** Undefined on a node without one. */
  readonly server: HoldServer | undefined;
  /** Opens the ColumnStore engine of the node. Default: there is none. */
  readonly engine?: OpenHoldEngine | undefined;
  /** What waits at the gate of the server for the lock of an operation. Default: nothing ever does. */
  readonly gate?: ((operationId: string) => LockGate | undefined) | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  readonly journal: Journal;
}

/** No holds yet. */
export function createHolds(around: HoldSurroundings): Holds {
  const holds = new Map<string, NodeHold>();
  /** Made ready, and not asked for yet; each with the end of its predecessor. */
  const waiting = new Map<NodeHold, Promise<void>>();
  let closed: StillpointError | undefined;
  const begin: Holds['prepare'] = (operationId, { terms, checksums, probeEveryMs }) => {
    if (closed !== undefined) throw closed;
    const { clock, engine, server } = around;
    const before = drop(holds.get(operationId));
    const tell = (event: EngineEvent): void => recordEngine(operationId, event, around);
    const gate = (): LockGate | undefined => around.gate?.(operationId);
    const hold = new NodeHold({ operationId, terms, checksums, probeEveryMs, server, engine, gate, tell, clock });
    holds.set(operationId, hold);
    waiting.set(hold, before);
    void hold.done.then(() => waiting.delete(hold));
    void recordEnd(hold, around);
    return hold;
  };
  return {
    get: (operationId) => holds.get(operationId),
    require: (operationId) => {
      const hold = holds.get(operationId);
      if (hold !== undefined) return hold;
      throw new StillpointError('HOLD_LOST', `Operation ${operationId} has no hold on this node`);
    },
    prepare: (operationId, on) => {
      const hold = begin(operationId, on);
      // Why it could not be made ready, its end tells.
      void waiting.get(hold)?.then(() => hold.ready().catch(() => undefined));
      return hold;
    },
    take: (operationId, on) => {
      const known = holds.get(operationId);
      const hold = known !== undefined && waiting.has(known) ? known : begin(operationId, on);
      const before = waiting.get(hold);
      waiting.delete(hold);
      void acquire(hold, before, around);
      // From now on writers may wait, and nothing is held back for their sake.
      void hold.done.then(liftLimit());
      return hold;
    },
    forget: async (operationId) => {
      const hold = holds.get(operationId);
      holds.delete(operationId);
      await drop(hold);
    },
    loseAll: async (error) => {
      closed = error;
      await Promise.all([...holds.values()].map((hold) => hold.lose(error)));
    },
  };
}

async function drop(hold: NodeHold | undefined): Promise<void> {
  await hold?.release();
  await hold?.snapshots?.close().catch(() => undefined);
}

/**
 * Takes a hold as soon as its predecessor is gone, and records that. Writers wait meanwhile, so nothing waits for the
 * record: a lock of the server is undone by the server, not by whoever reads what was recorded.
 */
async function acquire(hold: NodeHold, before: Promise<void> | undefined, around: HoldSurroundings): Promise<void> {
  const { log } = around;
  const { operationId: operation } = hold;
  await before;
  log.info({ operation }, 'hold requested');
  try {
    await hold.acquire();
  } catch {
    // Told with its end.
    return;
  }
  const waitedMs = Math.round(hold.lockWaitMs);
  record(operation, { type: 'held', waitedMs }, around);
  log.info({ operation, waitedMs, connection: hold.lock?.connectionId, guardian: hold.engine?.guardian?.pid }, 'hold in force');
}

async function recordEnd(hold: NodeHold, around: HoldSurroundings): Promise<void> {
  const { log } = around;
  const { operationId: operation } = hold;
  await hold.done;
  const blockedMs = Math.round(hold.blockedMs);
  if (hold.state.at === 'lost') {
    const { code, message } = hold.state.error;
    record(operation, { type: 'let-go', blockedMs, reason: `${code}: ${message}` }, around);
    log.warn({ operation, blockedMs, code }, `hold ended: ${message}`);
  } else {
    record(operation, { type: 'let-go', blockedMs, reason: 'released' }, around);
    log.info({ operation, blockedMs }, 'hold released');
  }
}

/** An entry without its time. */
type Entry<T = JournalEntry> = T extends JournalEntry ? Omit<T, 'at'> : never;

function record(operation: string, entry: Entry, { clock, journal, log }: HoldSurroundings): void {
  journal.append(operation, { ...entry, at: clock.now().toISOString() }).catch((err: unknown) => {
    log.error({ operation, err }, 'the journal cannot be written');
  });
}

function recordEngine(operation: string, event: EngineEvent, around: HoldSurroundings): void {
  const { log } = around;
  switch (event.is) {
    case 'suspended':
      record(operation, { type: 'suspended', controllerPid: event.stand.controllerPid }, around);
      log.info({ operation }, 'engine read-only');
      return;
    case 'resumed': {
      const { stuckLocks, tookMs, way } = event.how;
      const resumed = { tookMs: Math.round(tookMs), stuckLocks };
      record(operation, { type: 'resumed', ...resumed }, around);
      log[stuckLocks.length === 0 ? 'info' : 'warn']({ operation, ...resumed, ...way }, 'engine read-write');
      return;
    }
    case 'not-resumed': {
      const { code, message } = event.error;
      record(operation, { type: 'not-resumed', reason: `${code}: ${message}` }, around);
      log.error({ operation, code }, `writers go on, but the engine is not known to be read-write: ${message}`);
    }
  }
}
