import { newSetId } from '@stillpoint/shared/operation';
import { factsOfAll } from '../agents/facts.ts';
import { openScope } from '../agents/scope.ts';
import type { BackupReport, BackupRequest, RunOptions } from '../api.ts';
import type { BackupSettings } from '../config/schema.ts';
import type { ControllerContext } from '../context.ts';
import { type BackupPlan, planBackup } from '../plan/backup.ts';
import { type BackupRun, runBackupPhase } from './backup-run.ts';
import { chooseParent } from './choose-parent.ts';
import { commitSet, settleOpenCommits } from './commit.ts';
import { composeSet } from './compose-set.ts';
import { requireFitCluster } from './fitness.ts';
import { type Operation, PLAIN_ENDINGS, runOperation, withNodes } from './operation.ts';
import { PhaseTimes } from './phase-times.ts';
import { stillPoint } from './still-point.ts';

/** What a backup of all nodes would do. Touches nothing. Throws NO_SQL_NODE, COLUMNSTORE_CONFIG, and what describing the nodes throws. */
export async function backupPlan(context: ControllerContext, request: BackupRequest, signal: AbortSignal): Promise<BackupPlan> {
  const { agents, clock, config, store } = context;
  const parent = chooseParent(store.catalog, request);
  return planBackup(config.cluster, await factsOfAll(agents.all, clock, signal), settingsOf(context, request), parent);
}

/**
 * Backs up all nodes as one set. On every path the cluster is left running, and what does not become a complete set is
 * removed by the agents when they are given back, but for copies of dbroots that the next backup can use.
 */
export function createBackup(context: ControllerContext, request: BackupRequest, options: RunOptions): Promise<BackupReport> {
  const { agents, clock, store } = context;
  const begunAt = clock.monotonicMs();
  const record = store.journal.begin({ kind: 'backup', setId: newSetId(clock.now()), nodes: agents.all.map(({ node }) => node) });
  return runOperation(context, record, options, PLAIN_ENDINGS, async (operation) => {
    const result = await withNodes(context, operation, agents.all, async (signal) => {
      await settleOpenCommits(context, operation, signal);
      const run = await planned(context, operation, request, signal);
      await runBackupPhase(run, 'check', openScope(signal));
      await stillPoint(run, signal);
      await runBackupPhase(run, 'publish', openScope(signal));
      run.set = composeSet(run);
      await commitSet(context, run, signal);
      return { set: run.set.manifest, engine: [...run.resumed.values()] };
    });
    return { operationId: operation.id, ...result, elapsedMs: clock.monotonicMs() - begunAt };
  });
}

/** A plan from facts that fit together. Throws what `backupPlan` does, and what a failed check across nodes foretells. */
async function planned(context: ControllerContext, operation: Operation, request: BackupRequest, signal: AbortSignal): Promise<BackupRun> {
  const { agents, clock, config, store } = context;
  const parent = chooseParent(store.catalog, request);
  const answers = await factsOfAll(agents.all, clock, signal);
  requireFitCluster(context, answers);
  const settings = settingsOf(context, request);
  const plan = planBackup(config.cluster, answers, settings, parent);
  for (const message of plan.warnings) operation.observe({ type: 'warning', node: '', message, hint: '' });
  return newRun(context, operation, plan, settings);
}

const settingsOf = ({ config }: ControllerContext, { settings }: BackupRequest): BackupSettings => ({ ...config.backup, ...settings });

const newRun = ({ agents }: ControllerContext, operation: Operation, plan: BackupPlan, settings: BackupSettings): BackupRun => ({
  operation,
  agents,
  settings,
  plan,
  setId: operation.record.setId,
  ready: new Map(),
  holds: new Map(),
  suspending: new Set(),
  stands: new Map(),
  letting: new Map(),
  resumed: new Map(),
  felt: new Map(),
  blockedMs: new Map(),
  parts: new Map(),
  times: new PhaseTimes(),
  precopied: new Map(),
  cut: undefined,
  set: undefined,
});
