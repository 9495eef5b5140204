import type { TaskResult } from '@stillpoint/shared/proto';
import { replicationCommands } from '@stillpoint/shared/replication';
import type { RestoreReport, RestoreState } from '../api.ts';
import type { PlannedNode } from '../plan/restore.ts';
import { resultOf } from './journaled-task.ts';
import type { RestoreRun } from './restore-run.ts';

/** How a restore went, from the journal: the same after a resume as after one run. */
export function restoreReport(run: RestoreRun, state: RestoreState, elapsedMs: number): RestoreReport {
  const { operation, plan } = run;
  const told = state === 'switched' && plan.replication === 'print' ? plan.nodes : [];
  return {
    operationId: operation.id,
    setId: plan.setId,
    state,
    elapsedMs,
    leftOut: run.leftOut,
    nodes: plan.nodes.map((planned) => nodeReport(run, state, planned)),
    commands: told.flatMap(({ node, replicateFrom }) =>
      replicateFrom === undefined ? [] : [{ node, sql: replicationCommands(replicateFrom) }],
    ),
  };
}

function nodeReport(
  run: RestoreRun,
  state: RestoreState,
  { dbroots, gtidPosition, image, node }: PlannedNode,
): RestoreReport['nodes'][number] {
  const staged = resultOf(run.operation, 'stage', node);
  const switched = resultOf(run.operation, 'switch', node);
  const finished = resultOf(run.operation, 'finish', node);
  const proven = state === 'switched' ? resultOf(run.operation, 'prove-engine', node) : undefined;
  return {
    node,
    image,
    gtidPosition,
    bytes: staged?.case === 'stage' ? Number(staged.value.bytes) : 0,
    tablesEqual: staged?.case === 'stage' ? staged.value.tablesEqual : 0,
    tablesUnproven: staged?.case === 'stage' ? staged.value.tablesUnproven : [],
    kept: finished === undefined ? keptBy(state, switched, resultOf(run.operation, 'rollback', node)) : [],
    freedBytes: finished?.case === 'finish' ? Number(finished.value.freedBytes) : 0,
    dbroots: dbroots.map(({ number }) => number),
    tablesRead: proven?.case === 'proveEngine' ? proven.value.tables.length : 0,
    locks: proven?.case === 'proveEngine' ? proven.value.locks : [],
  };
}

/** What lies aside: the old data after a switch, the restored data after a rollback. */
function keptBy(state: RestoreState, switched: Result | undefined, undone: Result | undefined): readonly string[] {
  if (state === 'rolled-back') return undone?.case === 'rollback' && undone.value.setAside !== '' ? [undone.value.setAside] : [];
  return state === 'switched' && switched?.case === 'switch' ? switched.value.kept : [];
}

type Result = TaskResult['result'];
