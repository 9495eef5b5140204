import { StillpointError } from '@stillpoint/shared/errors';
import type { Agent } from '../agent.ts';
import type { DrivenHolds } from '../hold/registry.ts';
import type { Repository } from '../repository/index.ts';
import { loadState, unfinishedRestore } from '../restore/state.ts';
import type { Tickets } from '../seed/index.ts';
import type { TaskRunner } from '../task/runner.ts';
import type { ClaimRequest, ClaimRules } from './claims.ts';
import type { Journal, JournalEntry } from './journal.ts';

/** What ends with an operation. */
export interface OperationParts {
  readonly agent: Agent;
  readonly journal: Journal;
  readonly holds: DrivenHolds;
  readonly tasks: TaskRunner;
  readonly repository: Repository;
  readonly tickets: Tickets;
}

/** How operations begin and end on this node. */
export function operationRules({ agent, journal, holds, tasks, repository, tickets }: OperationParts): ClaimRules {
  const { clock, log, config } = agent;
  const at = (): string => clock.now().toISOString();
  return {
    clock,
    admit: (request) => refuseUnfinishedRestore(config.stateDir, request),
    claimed: async ({ operationId, kind, owner }) => {
      await journal.append(operationId, { type: 'claimed', at: at(), kind, owner });
      log.info({ operation: operationId, kind, owner }, 'node claimed');
    },
    outlives: (operationId) => tasks.outlivesClaim(operationId),
    end: async (operationId, expired) => {
      const why = expired ? 'The claim of the operation ran out' : 'The operation gave the node back';
      await holds.end(operationId);
      await tasks.cancelAll(operationId, new StillpointError(expired ? 'CLAIM_MISSING' : 'CANCELLED', why));
      tickets.revoke(operationId);
      await removeUncommittedParts(agent, repository, await journal.read(operationId));
      await journal.append(operationId, { type: 'released', at: at() });
      log[expired ? 'warn' : 'info']({ operation: operationId }, expired ? 'claim ran out; node is free' : 'node given back');
    },
  };
}

/** A half-switched node must be completed or rolled back first; one that runs on its new data may be backed up. */
async function refuseUnfinishedRestore(stateDir: string, { operationId, kind }: ClaimRequest): Promise<void> {
  const unfinished = await unfinishedRestore(stateDir);
  if (unfinished === undefined || unfinished === operationId) return;
  const phase = (await loadState(stateDir, unfinished).catch(() => undefined))?.phase;
  if (kind !== 'restore' && (phase === 'switched' || kind !== 'backup')) return;
  throw new StillpointError('RESTORE_UNFINISHED', `Restore ${unfinished} is ${phase ?? 'in an unreadable state'} on this node`);
}

/** Sets whose parts an operation captured. */
function capturedSets(entries: readonly JournalEntry[]): string[] {
  return entries.flatMap((entry) => {
    if (entry.type !== 'task-started') return [];
    const { capture } = entry.spec as { capture?: { setId?: string } };
    return capture?.setId === undefined ? [] : [capture.setId];
  });
}

async function removeUncommittedParts({ log }: Agent, repository: Repository, entries: readonly JournalEntry[]): Promise<void> {
  for (const set of new Set(capturedSets(entries))) {
    if (await repository.removeUnfinishedPart(set)) log.warn({ set }, 'part of a set that was never committed removed');
  }
}

/** After a restart: what operations of an earlier life left half done is undone. Tasks must have been recovered before. */
export async function recoverOperation({ agent, journal, repository }: OperationParts, operationId: string): Promise<void> {
  const entries = await journal.read(operationId);
  if (entries.length === 0 || entries.at(-1)?.type === 'released') return;
  await removeUncommittedParts(agent, repository, entries);
  await journal.append(operationId, { type: 'released', at: agent.clock.now().toISOString() });
}
