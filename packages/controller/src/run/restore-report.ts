import { fromJsonString } from '@bufbuild/protobuf';
import { type TaskResult, TaskResultSchema } from '@stillpoint/shared/proto';
import { replicationCommands } from '@stillpoint/shared/replication';
import type { RestoreReport, RestoreState } from '../api.ts';
import type { PlannedNode } from '../plan/restore.ts';
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

function nodeReport(run: RestoreRun, state: RestoreState, { gtidPosition, image, node }: PlannedNode): RestoreReport['nodes'][number] {
  const staged = resultOf(run, 'stage', node);
  const switched = resultOf(run, 'switch', node);
  const finished = resultOf(run, 'finish', node);
  return {
    node,
    image,
    gtidPosition,
    bytes: staged?.case === 'stage' ? Number(staged.value.bytes) : 0,
    tablesEqual: staged?.case === 'stage' ? staged.value.tablesEqual : 0,
    tablesUnproven: staged?.case === 'stage' ? staged.value.tablesUnproven : [],
    kept: finished === undefined ? keptBy(state, switched, resultOf(run, 'rollback', node)) : [],
    freedBytes: finished?.case === 'finish' ? Number(finished.value.freedBytes) : 0,
  };
}

/** What lies aside: the old data after a switch, the restored data after a rollback. */
function keptBy(state: RestoreState, switched: Result | undefined, undone: Result | undefined): readonly string[] {
  if (state === 'rolled-back') return undone?.case === 'rollback' && undone.value.setAside !== '' ? [undone.value.setAside] : [];
  return state === 'switched' && switched?.case === 'switch' ? switched.value.kept : [];
}

type Result = TaskResult['result'];

function resultOf({ operation }: RestoreRun, step: string, node: string): Result | undefined {
  const record = operation.steps.get(step, node);
  return record?.state === 'succeeded' && record.result !== '' ? fromJsonString(TaskResultSchema, record.result).result : undefined;
}
