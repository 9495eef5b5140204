import { newSetId } from '@stillpoint/shared/operation';
import { factsOfAll } from '../agents/facts.ts';
import { openScope } from '../agents/scope.ts';
import type { BackupReport, BackupRequest, RunOptions } from '../api.ts';
import type { BackupSettings } from '../config/schema.ts';
import type { ControllerContext } from '../context.ts';
import { type BackupPlan, planBackup } from '../plan/backup.ts';
import { type BackupRun, runBackupPhase } from './backup-run.ts';
import { commitSet, settleOpenCommits } from './commit.ts';
import { composeSet } from './compose-set.ts';
import { type Operation, PLAIN_ENDINGS, runOperation, withNodes } from './operation.ts';
import { stillPoint } from './still-point.ts';

/** What a backup of all nodes would do. Touches nothing. Throws NO_SQL_NODE, and what describing the nodes throws. */
export async function backupPlan(context: ControllerContext, request: BackupRequest, signal: AbortSignal): Promise<BackupPlan> {
  const { agents, clock, config } = context;
  return planBackup(config.cluster, await factsOfAll(agents.all, clock, signal), settingsOf(context, request));
}

/**
 * Backs up all nodes as one set. On every path the cluster is left running, and what does not become a complete set is
 * removed by the agents when they are given back.
 */
export function createBackup(context: ControllerContext, request: BackupRequest, options: RunOptions): Promise<BackupReport> {
  const { agents, clock, store } = context;
  const begunAt = clock.monotonicMs();
  const record = store.journal.begin({ kind: 'backup', setId: newSetId(clock.now()), nodes: agents.all.map(({ node }) => node) });
  return runOperation(context, record, options, PLAIN_ENDINGS, async (operation) => {
    const set = await withNodes(context, operation, agents.all, async (signal) => {
      await settleOpenCommits(context, operation, signal);
      const run = newRun(context, operation, await backupPlan(context, request, signal), settingsOf(context, request));
      await runBackupPhase(run, 'check', openScope(signal));
      await stillPoint(run, signal);
      await runBackupPhase(run, 'publish', openScope(signal));
      run.set = composeSet(run);
      await commitSet(context, run, signal);
      return run.set.manifest;
    });
    return { operationId: operation.id, set, elapsedMs: clock.monotonicMs() - begunAt };
  });
}

const settingsOf = ({ config }: ControllerContext, { settings }: BackupRequest): BackupSettings => ({ ...config.backup, ...settings });

const newRun = ({ agents }: ControllerContext, operation: Operation, plan: BackupPlan, settings: BackupSettings): BackupRun => ({
  operation,
  agents,
  settings,
  plan,
  setId: operation.record.setId,
  holds: new Map(),
  blockedMs: new Map(),
  parts: new Map(),
  timings: [],
  cut: undefined,
  set: undefined,
});
