import { StillpointError } from '@stillpoint/shared/errors';
import type { Agent } from '../agent.ts';
import type { Holds } from '../hold/registry.ts';
import { dropPrecopied, keepPrecopied } from '../precopied/index.ts';
import type { Repository } from '../repository/index.ts';
import { loadState, unfinishedRestore } from '../restore/state.ts';
import type { Tickets } from '../seed/index.ts';
import type { TaskRunner } from '../task/runner.ts';
import type { ClaimRequest, ClaimRules, EndOfClaim } from './claims.ts';
import type { Journal, JournalEntry } from './journal.ts';

/** What ends with an operation. */
export interface OperationParts {
  readonly agent: Agent;
  readonly journal: Journal;
  readonly holds: Holds;
  readonly tasks: TaskRunner;
  readonly repository: Repository;
  readonly tickets: Tickets;
}

/** How operations begin and end on this node. */
export function operationRules(parts: OperationParts): ClaimRules {
  const { agent, journal, tasks } = parts;
  const { clock, config, log } = agent;
  return {
    clock,
    admit: async (request) => {
      await refuseEndedBackup(journal, request);
      await refuseUnfinishedRestore(config.stateDir, request);
    },
    claimed: async ({ operationId, kind, owner }) => {
      await journal.append(operationId, { type: 'claimed', at: clock.now().toISOString(), kind, owner });
      log.info({ operation: operationId, kind, owner }, 'node claimed');
    },
    outlives: (operationId) => tasks.outlivesClaim(operationId),
    end: (operationId, why) => endOperation(parts, operationId, why),
  };
}

const GIVEN_BACK = { reason: new StillpointError('CANCELLED', 'The operation gave the node back'), told: 'node given back' };

const ENDINGS: Readonly<Record<EndOfClaim, { readonly reason: StillpointError; readonly told: string }>> = {
  released: GIVEN_BACK,
  'broken-off': GIVEN_BACK,
  expired: { reason: new StillpointError('CLAIM_MISSING', 'The claim of the operation ran out'), told: 'claim ran out; node is free' },
  stopped: { reason: new StillpointError('TASK_INTERRUPTED', 'The agent was stopped'), told: 'node is free: the agent stops' },
};

/** Ends everything of an operation. Writers first: whatever else takes time or fails, they do not wait for it. */
async function endOperation(parts: OperationParts, operationId: string, why: EndOfClaim): Promise<void> {
  const { agent, holds, journal, repository, tasks, tickets } = parts;
  const { reason, told } = ENDINGS[why];
  const log = agent.log.child({ operation: operationId });
  try {
    const hold = holds.get(operationId);
    // Nobody asked for it, so whoever still listens must not take it for a release.
    await (ENDINGS[why] === GIVEN_BACK ? hold?.release() : hold?.lose(reason));
    await tasks.endAll(operationId, reason);
    await holds.forget(operationId);
    await agent.captures.forget(operationId);
    tickets.revoke(operationId);
    await removeUncommittedParts(agent, repository, { entries: await journal.read(operationId), keeps: why !== 'released' });
    // A task that failed has kept it, as it could not know that.
    if (why === 'released') await dropPrecopied(agent.config, operationId);
    await journal.append(operationId, { type: 'released', at: agent.clock.now().toISOString() });
    await pruneJournal(parts);
    log[ENDINGS[why] === GIVEN_BACK ? 'info' : 'warn'](told);
  } catch (err) {
    // The journal does not say that it ended, so the next start of the agent tries again.
    log.error({ err }, `${told}, but not all it left behind could be cleared up`);
  }
}

const JOURNAL_DAYS = 30;
const JOURNAL_OPERATIONS = 200;

/** Forgets operations of long ago. Not before they were recovered: a record that is old may yet tell of something to be undone. */
export const pruneJournal = ({ agent, journal }: Pick<OperationParts, 'agent' | 'journal'>): Promise<void> =>
  journal.prune({ days: JOURNAL_DAYS, keep: JOURNAL_OPERATIONS, now: agent.clock.now() });

/** A backup whose claim has ended is void: its hold is gone and its part removed. A restore may be taken up again. */
async function refuseEndedBackup(journal: Journal, { operationId, kind }: ClaimRequest): Promise<void> {
  if (kind !== 'backup') return;
  const ended = (await journal.read(operationId)).findLast(({ type }) => type === 'released');
  if (ended === undefined) return;
  throw new StillpointError('CLAIM_MISSING', `The claim of ${operationId} on this node ended at ${ended.at}, and with it the backup`);
}

/** A half-switched node must be completed or rolled back first; one that runs on its new data may be backed up. */
async function refuseUnfinishedRestore(stateDir: string, { operationId, kind }: ClaimRequest): Promise<void> {
  if (kind !== 'backup' && kind !== 'restore') return;
  const unfinished = await unfinishedRestore(stateDir);
  if (unfinished === undefined || unfinished === operationId) return;
  const phase = (await loadState(stateDir, unfinished).catch(() => undefined))?.phase;
  if (kind === 'backup' && phase === 'switched') return;
  throw new StillpointError('RESTORE_UNFINISHED', `Restore ${unfinished} is ${phase ?? 'in an unreadable state'} on this node`);
}

/** Sets whose parts an operation captured. */
function capturedSets(entries: readonly JournalEntry[]): string[] {
  return entries.flatMap((entry) => {
    if (entry.type !== 'task-started') return [];
    const { capture, precopy } = entry.spec as { capture?: { setId?: string }; precopy?: { setId?: string } };
    const setId = (capture ?? precopy)?.setId;
    return setId === undefined ? [] : [setId];
  });
}

/** A committed part is left alone by the repository itself. `keeps`: what was copied of dbroots before the still point is set aside for the next backup. */
async function removeUncommittedParts(
  { config, log }: Agent,
  repository: Repository,
  { entries, keeps }: { readonly entries: readonly JournalEntry[]; readonly keeps: boolean },
): Promise<void> {
  for (const set of new Set(capturedSets(entries))) {
    if (keeps && (await keepPrecopied(config, set))) log.warn({ set }, 'what was copied of dbroots is kept for the next backup');
    if (await repository.removeUnfinishedPart(set)) log.warn({ set }, 'part of a set that was never committed removed');
  }
}

/**
 * After a restart: what operations of an earlier life left half done is undone. Tasks must have been recovered before. A lock
 * needs no undoing: it went with the connection.
 */
export async function recoverOperation({ agent, journal, repository }: OperationParts, operationId: string): Promise<void> {
  const entries = await journal.read(operationId);
  if (!entries.some(({ type }) => type === 'claimed') || hasEnded(entries)) return;
  await removeUncommittedParts(agent, repository, { entries, keeps: true });
  await journal.append(operationId, { type: 'released', at: agent.clock.now().toISOString() });
  agent.log.warn({ operation: operationId }, 'operation ended with the agent; node is free');
}

const hasEnded = (entries: readonly JournalEntry[]): boolean =>
  entries.findLastIndex(({ type }) => type === 'released') > entries.findLastIndex(({ type }) => type === 'claimed');
