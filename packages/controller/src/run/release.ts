import { durationMs } from '@bufbuild/protobuf/wkt';
import { StillpointError } from '@stillpoint/shared/errors';
import type { ProbeFelt } from '@stillpoint/shared/proto';
import type { NodeHold, Release } from '../agents/hold.ts';
import { withoutNode } from '../agents/scope.ts';
import type { EngineResume } from '../api.ts';
import type { BackupRun } from './backup-run.ts';

const LOOK = 'Look at `dbrmctl status` on the primary of the engine; docs/columnstore.md tells what to do.';

/** Lets every node go that holds, in parallel: agents see to it that the engine comes before the SQL locks, on all nodes. Never throws. */
export async function releaseAll(run: BackupRun): Promise<void> {
  const { holds, ready } = run;
  await Promise.all([...[...holds.values()].map((hold) => releaseHold(run, hold)), ...[...ready.values()].map((hold) => hold.giveUp())]);
}

/** Lets one node go, once however often it is called, and takes down how that went. Never throws. */
export function releaseHold(run: BackupRun, hold: NodeHold): Promise<void> {
  const letting = run.letting.get(hold) ?? letGo(run, hold);
  run.letting.set(hold, letting);
  return letting;
}

async function letGo(run: BackupRun, hold: NodeHold): Promise<void> {
  const { operation, blockedMs } = run;
  const { node } = hold;
  const wasLost = hold.lost.aborted;
  const release = await hold.release();
  const blocked = release.released?.blocked;
  const ms = blocked === undefined ? operation.clock.monotonicMs() - hold.askedAtMs : durationMs(blocked);
  // Writers have waited in earlier attempts as well.
  blockedMs.set(node, (blockedMs.get(node) ?? 0) + ms);
  noteProbe(run, node, release.released?.probe);
  const isPrimary = node === run.plan.columnstore?.primary;
  const stood = run.stands.has(node);
  // Whoever was asked to suspend, and neither answered that nor the release, may have done it.
  const inDoubt = run.suspending.has(node) && release.released === undefined;
  if (isPrimary || stood) noteEngine(run, node, engineResume(node, release, isPrimary && (stood || inDoubt) && !wasLost));
  else if (blocked === undefined && !wasLost) {
    operation.observe({ type: 'log', node, message: 'did not confirm the release; its agent lets go by itself when the lease runs out' });
  }
}

/** A figure that could not be had is told; it makes no backup worse. */
function noteProbe({ felt, operation }: BackupRun, node: string, probe: ProbeFelt | undefined): void {
  if (probe === undefined) return;
  const { failure, longest, writes } = probe;
  if (failure === '') felt.set(node, { longestMs: longest === undefined ? 0 : durationMs(longest), writes: Number(writes) });
  else operation.observe({ type: 'warning', node, message: `the probe did not write: ${failure}`, hint: PROBE_HINT });
}

const PROBE_HINT = '`stillpoint agent grants` prints the SQL that makes its table, and what the account may do with it.';

/** `must`: this node has suspended the engine, or may have, so it has to say that it is read-write again. */
function engineResume(node: string, { error, released }: Release, must: boolean): EngineResume {
  const base = { node, stuckLocks: released?.stuckLocks ?? [] };
  if (released?.engineResume !== undefined) return { ...base, ms: durationMs(released.engineResume) };
  if (error?.code === 'RESUME_FAILED') return { ...base, failure: withoutNode(error) };
  if (!must) return base;
  const why = error === undefined ? '' : `: ${withoutNode(error).message}`;
  const message = `the agent did not confirm that the engine is read-write again${why}`;
  // The agent knows best what to restart.
  const hint = error === undefined ? LOOK : `${error.hint} ${LOOK}`;
  return { ...base, failure: new StillpointError('RESUME_FAILED', message, { node, hint }) };
}

/** What is left for people to do is told at once, whatever becomes of the backup. */
function noteEngine({ operation, resumed }: BackupRun, node: string, resume: EngineResume): void {
  resumed.set(node, resume);
  const { failure, stuckLocks } = resume;
  if (failure !== undefined) operation.observe({ type: 'warning', node, message: failure.message, hint: failure.hint });
  for (const message of stuckLocks) operation.observe({ type: 'warning', node, message, hint: '' });
}

/**
 * What to throw instead of `failure`: an engine that was not seen read-write again is more urgent than why the backup failed. The same
 * failure when every engine is.
 */
export function mostUrgent({ resumed }: BackupRun, failure: StillpointError): StillpointError {
  const worst = [...resumed.values()].find((resume) => resume.failure !== undefined)?.failure;
  if (worst === undefined || failure.code === 'RESUME_FAILED') return failure;
  const where = failure.node === undefined ? '' : ` on ${failure.node}`;
  const message = `${worst.message}; the backup itself failed with ${failure.code}${where}: ${withoutNode(failure).message}`;
  const { hint, node } = worst;
  const { blockers, tableLocks } = failure;
  return new StillpointError('RESUME_FAILED', message, { hint, node, blockers, tableLocks, cause: failure });
}
