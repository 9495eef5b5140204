import { AgentService } from '@stillpoint/shared/proto';
import { createClient } from '@stillpoint/shared/rpc';
import type { Clock } from '@stillpoint/shared/time';
import { agentPool, type Connect } from './agents/pool.ts';
import type { Controller, RestoreState, RestoreSummary } from './api.ts';
import { openCatalog } from './catalog/catalog.ts';
import { rescan } from './catalog/rescan.ts';
import type { ClusterConfig } from './config/schema.ts';
import type { ControllerContext, ControllerLog, Store } from './context.ts';
import { checkCluster, describeCluster, showSet } from './inspect.ts';
import { openDatabase } from './journal/database.ts';
import { type JournalState, openJournal } from './journal/journal.ts';
import { openPlans } from './journal/plans.ts';
import { backupPlan, createBackup } from './run/backup.ts';
import { cleanNodes } from './run/clean.ts';
import { deleteSet } from './run/delete.ts';
import { resumeRestore, runRestore } from './run/restore.ts';
import { makeRestorePlan } from './run/restore-plan.ts';
import { planPrune, pruneAfterBackup, pruneSets } from './run/retention.ts';
import { protectSet } from './run/retention-protect.ts';
import { finishRestore, rollbackRestore } from './run/rollback.ts';
import { verifySet } from './run/verify.ts';

export interface ControllerOptions {
  readonly config: ClusterConfig;
  readonly clock: Clock;
  /** Operations of controllers that cannot be looked at from here, on other hosts or in other containers, count as dead. Default: false. */
  readonly takeOver?: boolean;
  /** Default: nowhere. */
  readonly log?: ControllerLog;
}

const SILENT: ControllerLog = { info: () => {}, warn: () => {} };

/**
 * A controller of the configured cluster. Connects to agents and opens its database when they are first needed; an operation
 * whose controller died is marked as interrupted then.
 */
export function openController({ config, clock, log = SILENT, takeOver = false }: ControllerOptions): Controller {
  const { cluster, tls } = config;
  const connect: Connect = (target) => createClient(AgentService, target, { tls, cluster });
  const agents = agentPool(config.nodes, connect);
  let opened: Store | undefined;
  const context: ControllerContext = {
    config,
    clock,
    log,
    agents,
    get store() {
      opened ??= openStore(config, clock, takeOver);
      return opened;
    },
  };
  return {
    describe: (signal) => describeCluster(context, signal),
    check: (purpose, signal) => checkCluster(context, purpose, signal),
    planBackup: (request, signal) => backupPlan(context, request, signal),
    createBackup: async (request, run) => {
      const report = await createBackup(context, request, run);
      const pruned = await pruneAfterBackup(context, run);
      return pruned === undefined ? report : { ...report, pruned };
    },
    listSets: async ({ all, rescan: again }, signal) => {
      const { catalog } = context.store;
      const silent = again ? await rescan(catalog, cluster, agents.all, signal) : [];
      if (silent.length > 0) log.warn({ nodes: silent }, 'some repositories could not be asked');
      return catalog.list(all);
    },
    showSet: (setId, signal) => showSet(context, setId, signal),
    verifySet: async (setId, run) => verifySet(context, setId, run),
    deleteSet: async (setId, run) => deleteSet(context, setId, run),
    planPrune: (rules, signal) => planPrune(context, rules, signal),
    pruneSets: async (rules, run) => pruneSets(context, rules, run),
    protectSet: async (setId, protect, run) => protectSet(context, setId, protect, run),
    cleanNodes: async (request, run) => cleanNodes(context, request, run),
    planRestore: (request, signal) => makeRestorePlan(context, request, signal),
    runRestore: async (planId, run) => runRestore(context, planId, run),
    resumeRestore: async (operationId, run) => resumeRestore(context, operationId, run),
    rollbackRestore: async (operationId, run) => rollbackRestore(context, operationId, run),
    finishRestore: async (operationId, run) => finishRestore(context, operationId, run),
    listRestores: () => listRestores(context.store),
    close: async () => {
      agents.close();
      opened?.db.close();
      opened = undefined;
    },
  };
}

function openStore({ cluster, stateDir }: ClusterConfig, clock: Clock, takeOver: boolean): Store {
  const db = openDatabase(stateDir);
  const journal = openJournal(db, cluster, clock, takeOver);
  journal.settleDead();
  return { db, journal, catalog: openCatalog(db, cluster, clock), plans: openPlans(db, cluster) };
}

function listRestores({ journal }: Store): RestoreSummary[] {
  journal.settleDead();
  return journal.list('restore').map(({ id, planId, reason, setId, startedAt, state }) => ({
    operationId: id,
    planId,
    setId,
    state: restoreState(state),
    startedAt,
    reason,
  }));
}

/** The journal speaks of all kinds of operations; a restore never comes to rest in the words of the others. */
function restoreState(state: JournalState): RestoreState {
  if (state === 'succeeded') return 'switched';
  return state === 'cancelled' ? 'interrupted' : state;
}
