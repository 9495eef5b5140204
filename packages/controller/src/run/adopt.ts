import { newOperationId } from '@stillpoint/shared/operation';
import type { ColumnstoreFacts } from '@stillpoint/shared/proto';
import { factsOrSilence, type NodeAnswer } from '../agents/facts.ts';
import type { SettleOptions } from '../api.ts';
import type { ControllerContext } from '../context.ts';
import { stepsOf } from '../journal/steps.ts';
import type { PlannedNode, RestorePlan } from '../plan/restore.ts';
import type { PlannedEngine } from '../plan/restore-engine.ts';
import { placementsOf } from '../plan/topology.ts';
import { nodeStand } from './restore-stand.ts';

/**
 * Makes the record of a restore that this journal does not know, from the agents that say it is unfinished on their nodes: the
 * state directory was lost, or is that of another host. Agents tell whether anything of it is in place. How far it had come from there nobody
 * tells, so it is taken for switched: it can be rolled back or finished, each agent refusing what does not fit, but not resumed. One
 * that is merely staged can be rolled back. Does nothing for one that is known.
 * Throws OPERATION_NOT_FOUND when no agent names it, and what asking a node throws that is not left out.
 */
export async function adoptUnknown(context: ControllerContext, operationId: string, options: SettleOptions): Promise<void> {
  const { agents, clock, store } = context;
  if (store.journal.list('restore').some(({ id }) => id === operationId)) return;
  const { signal, without = [] } = options;
  const answers = await factsOrSilence(
    agents.all.filter(({ node }) => !without.includes(node)),
    clock,
    signal,
  );
  const named = answers.filter((answer): answer is NodeAnswer => 'facts' in answer && answer.facts.unfinishedRestore === operationId);
  if (named.length === 0) store.journal.get(operationId);
  // It may name the restore as well.
  const silent = answers.find((answer) => 'error' in answer);
  if (silent !== undefined && 'error' in silent) throw silent.error;
  const plan = planOf(context, named, without);
  const staged = named.flatMap(({ facts, node }) => (facts.unfinishedRestoreStaged ? [node] : []));
  store.db.transaction(() => {
    store.plans.save(plan);
    const names = plan.nodes.map(({ node }) => node);
    store.journal.adopt(
      { id: operationId, kind: 'restore', planId: plan.id, nodes: names },
      staged.length < plan.nodes.length ? 'switched' : 'interrupted',
      reason(named),
    );
    const steps = stepsOf(store.db, operationId, clock);
    const begun = [
      ...plan.nodes.map(({ node }) => ({ kind: 'stage', node })),
      ...plan.nodes
        .filter(({ node }) => !staged.includes(node))
        .flatMap(({ node }) => nodeStand([], plan, node).missing.map((step) => ({ kind: step, node }))),
    ];
    for (const { kind, node } of begun) {
      steps.started(kind, node, 1);
      steps.succeeded(kind, node);
    }
  });
}

const reason = (named: readonly NodeAnswer[]): string =>
  `its record was lost and was made again from what ${named.map(({ node }) => node).join(', ')} said`;

/** True for a plan that was made again from what agents said: what was to be restored is not known any more. */
export const isAdopted = ({ setId }: RestorePlan): boolean => setId === '';

function planOf({ clock, config }: ControllerContext, named: readonly NodeAnswer[], without: readonly string[]): RestorePlan {
  const now = clock.now();
  const places = placementsOf(named);
  const planned = (node: string, answer?: NodeAnswer): PlannedNode => {
    const source = named.find((other) => other.node === places.find((place) => place.node === node)?.source);
    const { columnstore, mariadb } = answer?.facts ?? {};
    return {
      ...NOTHING_KNOWN,
      node,
      image: answer !== undefined && mariadb === undefined ? '' : node,
      ...(columnstore === undefined || columnstore.module === 0 ? {} : { engine: engineOf(columnstore) }),
      datadir: mariadb?.datadir ?? '',
      serverRunning: mariadb?.running ?? false,
      replicateFrom: source === undefined ? undefined : { node: source.node, host: '', port: 0 },
    };
  };
  return {
    id: newOperationId('plan', now),
    cluster: config.cluster,
    setId: '',
    cutAt: '',
    createdAt: now.toISOString(),
    replicas: 'auto',
    replication: 'print',
    leaveReplicas: true,
    columnstore: undefined,
    nodes: [...named.map((answer) => planned(answer.node, answer)), ...without.map((node) => planned(node))],
    problems: [],
    warnings: [],
  };
}

const engineOf = ({ module, version, ...engine }: ColumnstoreFacts): PlannedEngine => ({
  ...{ module, version, running: [] },
  primary: module === engine.primaryModule,
});

/** With data to go back to: agents start no server where there is none. */
const NOTHING_KNOWN: Omit<PlannedNode, 'node' | 'image' | 'datadir' | 'serverRunning' | 'replicateFrom'> = {
  roles: ['sql'],
  imageSha256: '',
  ownPartSha256: '',
  storedBytes: 0,
  needBytes: 0,
  freeBytes: 0,
  replacesBytes: 1,
  installedVersion: '',
  setVersion: '',
  restoreConfiguration: false,
  gtidPosition: '',
  dbroots: [],
  engine: undefined,
};
