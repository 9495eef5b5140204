import { type ErrorCode, type StillpointError, toStillpointError } from '@stillpoint/shared/errors';
import { restated } from '../agents/restated.ts';
import { abortReason, openScope, type Scope, unlessAborted } from '../agents/scope.ts';
import { type BackupRun, type Cut, runBackupPhase } from './backup-run.ts';
import { requireOneEngine } from './engine-stand.ts';
import { whatTookTheTime } from './phase-times.ts';
import { precopy } from './precopy.ts';
import { mostUrgent, releaseAll } from './release.ts';

/** Failures of a lock, or of an engine that is busy, that a later attempt may not have. */
const WORTH_ANOTHER_ATTEMPT: readonly ErrorCode[] = ['LOCK_TIMEOUT', 'HOLD_LOST', 'DRAIN_TIMEOUT', 'CPIMPORT_RUNNING'];

/**
 * The still point: every node holds and the engine is read-only, every node captures, every node attests, every node resumes. Writers
 * wait from the first lock to the release, so nothing slow happens in between, and on every path (failure, abort, a lost hold) all holds
 * are released before anything else is waited for. Returns when the cluster stood still.
 *
 * Throws LOCK_TIMEOUT, DRAIN_TIMEOUT or CPIMPORT_RUNNING when that ended every attempt, RESUME_FAILED when it failed and the engine was not seen
 * read-write again, else the first failure: the captures are void then.
 */
export async function stillPoint(run: BackupRun, signal: AbortSignal): Promise<void> {
  try {
    const scope = await comeToRest(run, signal);
    await standStill(run, scope);
  } catch (error) {
    throw mostUrgent(run, explained(run, toStillpointError(error)));
  }
}

/** A budget that was used up: on what. Other failures stay what they are. */
function explained(run: BackupRun, error: StillpointError): StillpointError {
  if (error.code !== 'BLOCK_BUDGET' || error.message.includes(TOOK)) return error;
  const took = whatTookTheTime(run.times.all);
  return took === '' ? error : restated(error, { message: `${error.message}. ${TOOK}: ${took}`, cause: error });
}

const TOOK = 'What took the time';

async function standStill(run: BackupRun, scope: Scope): Promise<void> {
  const inside = phasesInOrder(run, ['flush', 'capture', 'attest'], scope);
  try {
    await unlessAborted(inside, scope.signal);
  } catch (error) {
    await resume(run);
    // Cancelled captures still come to their end; what they say is richer than the mere abort.
    await inside;
    throw error;
  }
  const { at, holdSkewMs } = instants(run);
  const releasedAt = run.operation.clock.now();
  await resume(run);
  run.cut = { at, releasedAt, holdSkewMs };
}

/** Where a bulk load is refused, nobody's writers are to wait for it once more. */
const isWorthAnother = ({ settings }: BackupRun, code: ErrorCode): boolean =>
  WORTH_ANOTHER_ATTEMPT.includes(code) && !(code === 'CPIMPORT_RUNNING' && settings.columnstore.cpimport === 'refuse');

/** Brings all nodes and the engine to a stand, in as many attempts as are configured. Between two attempts, nothing is held. */
async function comeToRest(run: BackupRun, signal: AbortSignal): Promise<Scope> {
  const { lockAttempts: attempts, lockBackoff: waitMs } = run.settings;
  const { clock, observe } = run.operation;
  for (let attempt = 1; ; attempt++) {
    try {
      return await tryToRest(run, signal);
    } catch (thrown) {
      const error = toStillpointError(thrown);
      const stuck = mostUrgent(run, error) !== error;
      if (signal.aborted || stuck || !isWorthAnother(run, error.code)) throw error;
      if (attempt >= attempts) throw givenUp(error, attempt);
      const { node = '', message, blockers, tableLocks } = error;
      observe({ type: 'retry', attempt, attempts, waitMs, node, message, blockers, tableLocks });
      await clock.sleep(waitMs, signal);
    }
  }
}

/**
 * One attempt. The barrier: it ends well only when every hold is in force at the same time, and then the engine read-only on all of its
 * nodes. That SQL writers wait while the engine is drained keeps new locks from coming.
 */
async function tryToRest(run: BackupRun, signal: AbortSignal): Promise<Scope> {
  const before = run.times.mark();
  await precopy(run, signal);
  const scope = openScope(signal);
  for (const notes of [run.ready, run.holds, run.suspending, run.stands, run.resumed]) notes.clear();
  const coming = goTo(run, scope);
  try {
    await unlessAborted(coming, scope.signal);
    return scope;
  } catch (error) {
    await releaseAll(run);
    const [came] = await Promise.allSettled([coming]);
    // A lock that was granted meanwhile.
    await releaseAll(run);
    const failure = explained(run, toStillpointError(came.status === 'rejected' ? came.reason : error));
    run.times.rewind(before);
    throw failure;
  }
}

async function goTo(run: BackupRun, scope: Scope): Promise<void> {
  await phasesInOrder(run, ['ready', 'park', 'quiesce', 'drain', 'suspend', 'confirm'], scope);
  const { columnstore } = run.plan;
  if (columnstore !== undefined) requireOneEngine(columnstore, run.stands);
}

/** Nothing more is asked of a node once the scope has failed: it may have been let go. */
async function phasesInOrder(run: BackupRun, kinds: readonly Parameters<typeof runBackupPhase>[1][], scope: Scope): Promise<void> {
  for (const kind of kinds) {
    if (scope.signal.aborted) throw abortReason(scope.signal);
    await runBackupPhase(run, kind, scope);
  }
}

function givenUp(error: StillpointError, attempts: number): StillpointError {
  const times = attempts === 1 ? 'in one attempt' : `in ${attempts} attempts`;
  return restated(error, { message: `${error.message} (${times})`, cause: error });
}

/** Lets all nodes go, whatever has happened before: it heeds no signal and never throws. */
async function resume(run: BackupRun): Promise<void> {
  const released = releaseAll(run);
  // A journal that cannot be written keeps no writer waiting; its next use tells of it.
  await runBackupPhase(run, 'resume', openScope(new AbortController().signal)).catch(() => {});
  await released;
}

/** The last lock granted makes the cut. */
function instants({ holds, operation }: BackupRun): Omit<Cut, 'releasedAt'> {
  const granted = [...holds.values()].map(({ grantedAtMs }) => grantedAtMs);
  const last = Math.max(...granted);
  const sinceMs = operation.clock.monotonicMs() - last;
  return { at: new Date(operation.clock.now().getTime() - sinceMs), holdSkewMs: last - Math.min(...granted) };
}
