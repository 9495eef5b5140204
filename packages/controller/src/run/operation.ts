import { StillpointError, toStillpointError } from '@stillpoint/shared/errors';
import type { Clock } from '@stillpoint/shared/time';
import { type Claimant, giveBack, withClaims } from '../agents/claims.ts';
import type { NodeAgent } from '../agents/pool.ts';
import { isEcho, withoutNode } from '../agents/scope.ts';
import type { RunOptions } from '../api.ts';
import type { ControllerContext } from '../context.ts';
import type { Observer } from '../events.ts';
import type { JournalState, OperationRecord } from '../journal/journal.ts';
import { ownerText, thisProcess } from '../journal/owner.ts';
import { type StepJournal, stepsOf } from '../journal/steps.ts';
import { withWaysOn } from './restore-hint.ts';
import { inTermsOfRestore } from './restore-terms.ts';

/** A running operation. */
export interface Operation {
  readonly id: string;
  readonly record: OperationRecord;
  readonly claimant: Claimant;
  readonly steps: StepJournal;
  readonly clock: Clock;
  readonly observe: Observer;
  /** The user's wish to stop. */
  readonly signal: AbortSignal;
  /** What the operation is doing, for messages. */
  phase: string;
}

/** What state an operation comes to rest in. */
export interface Endings {
  readonly success: JournalState;
  failure(error: StillpointError): JournalState;
  /** How it rested before it was reopened: what fails without having come to a node leaves it so. */
  readonly before?: Pick<OperationRecord, 'state' | 'reason'>;
}

/** Operations that are simply over when they fail. */
export const PLAIN_ENDINGS: Endings = {
  success: 'succeeded',
  failure: (error) => (error.code === 'CANCELLED' ? 'cancelled' : 'failed'),
};

/**
 * Runs `work` as the operation that the journal has just begun or reopened, and records how it ended, on every path. Throws
 * what `work` throws, as a StillpointError; CANCELLED, naming the phase, when the user stopped it.
 */
export async function runOperation<R>(
  context: ControllerContext,
  record: OperationRecord,
  run: RunOptions,
  endings: Endings,
  work: (operation: Operation) => Promise<R>,
): Promise<R> {
  const { clock, log, store } = context;
  const { id, kind, setId } = record;
  // Whoever watches must not be able to break what is watched.
  const observe: Observer = (event) => {
    try {
      run.observe(event);
    } catch (error) {
      log.warn({ operation: id, event: event.type }, `the observer failed: ${String(error)}`);
    }
  };
  const operation: Operation = {
    id,
    record,
    claimant: { operationId: id, kind, owner: ownerText(thisProcess()) },
    steps: stepsOf(store.db, id, clock),
    clock,
    observe,
    signal: run.signal,
    phase: 'start',
  };
  log.info({ operation: id, set: setId }, 'operation started');
  const found = nodeSteps(operation);
  observe({ type: 'operation', operationId: id, kind, ...(setId === '' ? {} : { setId }) });
  try {
    const result = await work(operation);
    store.journal.end(id, endings.success);
    log.info({ operation: id }, 'operation succeeded');
    return result;
  } catch (thrown) {
    const untouched = endings.before !== undefined && nodeSteps(operation) === found ? endings.before : undefined;
    const error = explained(thrown, operation, untouched);
    log.warn({ operation: id, code: error.code, node: error.node }, error.message);
    const { reason, state } = untouched ?? { state: endings.failure(error), reason: reasonOf(error) };
    store.journal.end(id, state, reason);
    throw error;
  }
}

/**
 * Claims nodes for an operation while `work` runs, see `withClaims`. Claims that an earlier operation of ours left behind,
 * because its controller died or a node was out of reach, are given back first instead of being waited out.
 */
export async function withNodes<R>(
  { agents, store }: ControllerContext,
  operation: Operation,
  nodes: readonly NodeAgent[],
  work: (signal: AbortSignal) => Promise<R>,
): Promise<R> {
  const givingBack = store.journal.abandoned().map(async ({ id }) => {
    await giveBack(agents.all, { operationId: id, brokenOff: true }, operation.observe);
    store.journal.setClaimsOpen(id, false);
  });
  await Promise.all(givingBack);
  store.journal.setClaimsOpen(operation.id, true);
  return withClaims(nodes, operation.claimant, operation, work, () => store.journal.setClaimsOpen(operation.id, false));
}

/** What has come to nodes so far, comparable. */
const nodeSteps = ({ steps }: Operation): string => JSON.stringify(steps.all().filter(({ node }) => node !== ''));

const reasonOf = ({ code, message, node }: StillpointError): string => `${code}${node === undefined ? '' : ` on ${node}`}: ${message}`;

function explained(thrown: unknown, { id, phase, record, signal, steps }: Operation, untouched: Endings['before']): StillpointError {
  const error = isEcho(thrown, signal)
    ? new StillpointError('CANCELLED', `${id} was cancelled during ${phase}`, { cause: thrown })
    : withoutNode(toStillpointError(thrown));
  if (record.kind !== 'restore') return error;
  // What rests in good order, and was not touched, needs no way on.
  return inTermsOfRestore(untouched?.state === 'switched' ? error : withWaysOn(error, id, steps.all()));
}
