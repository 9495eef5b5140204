import { type ErrorCode, StillpointError, toStillpointError } from '@stillpoint/shared/errors';
import { openScope, type Scope, unlessAborted } from '../agents/scope.ts';
import { type BackupRun, type Cut, runBackupPhase } from './backup-run.ts';

/** Failures of a lock that a later attempt may not have. */
const WORTH_ANOTHER_ATTEMPT: readonly ErrorCode[] = ['LOCK_TIMEOUT', 'HOLD_LOST'];

/**
 * The still point: every node holds, every node captures, every node attests, every node resumes. Writers wait from the
 * first lock to the release, so nothing slow happens in between, and on every path (failure, abort, a lost hold) all holds
 * are released before anything else is waited for. Returns when the cluster stood still.
 *
 * Throws LOCK_TIMEOUT when the locks were not granted in any attempt, else the first failure: the captures are void then.
 */
export async function stillPoint(run: BackupRun, signal: AbortSignal): Promise<void> {
  const scope = await quiesce(run, signal);
  const inside = takeImages(run, scope);
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

/** What happens while everything stands still. */
async function takeImages(run: BackupRun, scope: Scope): Promise<void> {
  for (const kind of ['drain', 'suspend', 'flush', 'capture', 'attest'] as const) await runBackupPhase(run, kind, scope);
}

/** Brings all nodes to a stand, in as many attempts as are configured. Between two attempts, nothing is held. */
async function quiesce(run: BackupRun, signal: AbortSignal): Promise<Scope> {
  const { lockAttempts: attempts, lockBackoff: waitMs } = run.settings;
  const { clock, observe } = run.operation;
  for (let attempt = 1; ; attempt++) {
    try {
      return await tryQuiesce(run, signal);
    } catch (thrown) {
      const error = toStillpointError(thrown);
      if (signal.aborted || !WORTH_ANOTHER_ATTEMPT.includes(error.code)) throw error;
      if (attempt >= attempts) throw givenUp(error, attempt);
      const { node = '', message, blockers } = error;
      observe({ type: 'retry', attempt, attempts, waitMs, node, message, blockers });
      await clock.sleep(waitMs, signal);
    }
  }
}

/** One attempt. The barrier: it ends well only when every hold is in force at the same time. */
async function tryQuiesce(run: BackupRun, signal: AbortSignal): Promise<Scope> {
  const scope = openScope(signal);
  run.holds.clear();
  const acquiring = runBackupPhase(run, 'quiesce', scope);
  try {
    await unlessAborted(acquiring, scope.signal);
    return scope;
  } catch (error) {
    await releaseAll(run);
    try {
      await acquiring;
    } finally {
      // A lock that was granted meanwhile.
      await releaseAll(run);
    }
    throw error;
  }
}

function givenUp(error: StillpointError, attempts: number): StillpointError {
  const { hint, node, blockers } = error;
  const times = attempts === 1 ? 'in one attempt' : `in ${attempts} attempts`;
  return new StillpointError(error.code, `${error.message} (${times})`, { hint, node, blockers, cause: error });
}

/** Lets all nodes go, whatever has happened before: it heeds no signal and never throws. */
async function resume(run: BackupRun): Promise<void> {
  const released = releaseAll(run);
  // A journal that cannot be written keeps no writer waiting; its next use tells of it.
  await runBackupPhase(run, 'resume', openScope(new AbortController().signal)).catch(() => {});
  await released;
}

async function releaseAll({ holds }: BackupRun): Promise<void> {
  await Promise.all([...holds.values()].map((hold) => hold.release()));
}

/** The last lock granted makes the cut. */
function instants({ holds, operation }: BackupRun): Omit<Cut, 'releasedAt'> {
  const granted = [...holds.values()].map(({ grantedAtMs }) => grantedAtMs);
  const last = Math.max(...granted);
  const sinceMs = operation.clock.monotonicMs() - last;
  return { at: new Date(operation.clock.now().getTime() - sinceMs), holdSkewMs: last - Math.min(...granted) };
}
