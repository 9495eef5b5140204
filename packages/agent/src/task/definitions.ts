import { StillpointError } from '@stillpoint/shared/errors';
import type { TaskSpec } from '@stillpoint/shared/proto';
import { captureTask, precopyTask, publishTask } from '../capture/index.ts';
import { loadBrmTask } from '../columnstore/brm/load-task.ts';
import { proveEngineTask } from '../columnstore/prove/task.ts';
import { startEngineTask } from '../columnstore/service/start-task.ts';
import { stopEngineTask } from '../columnstore/service/stop-task.ts';
import { verifyTask } from '../repository/index.ts';
import { finishTask, replicateTask, rollbackTask, stageTask, startServerTask, stopServerTask, switchTask } from '../restore/index.ts';
import type { TaskDefinition, TaskDefinitions, TaskKind, TaskSpecOf } from './types.ts';

/** One definition a kind. */
export const TASK_DEFINITIONS = {
  precopy: precopyTask,
  capture: captureTask,
  publish: publishTask,
  verify: verifyTask,
  stage: stageTask,
  stopServer: stopServerTask,
  switch: switchTask,
  startServer: startServerTask,
  replicate: replicateTask,
  rollback: rollbackTask,
  finish: finishTask,
  stopEngine: stopEngineTask,
  loadBrm: loadBrmTask,
  startEngine: startEngineTask,
  proveEngine: proveEngineTask,
} satisfies TaskDefinitions;

/**
 * Whether a kind goes on when the controller is gone. Half a restore helps nobody, and a new controller finds the result;
 * the others belong to something that nobody would take up again.
 */
export const OUTLIVES_CLAIM: Readonly<Record<TaskKind, boolean>> = {
  precopy: false,
  capture: false,
  publish: false,
  verify: false,
  stage: true,
  stopServer: true,
  switch: true,
  startServer: true,
  replicate: true,
  rollback: true,
  finish: true,
  stopEngine: true,
  loadBrm: true,
  startEngine: true,
  proveEngine: true,
};

/** Kind of a task. Throws USAGE for a spec that names none: a kind that only a newer controller knows. */
export function kindOf({ task }: TaskSpec): TaskKind {
  if (task.case === undefined) throw new StillpointError('USAGE', 'The task says nothing of what to do');
  return task.case;
}

/** The definition of a task's kind, with its own message. */
export function definitionOf(
  definitions: TaskDefinitions,
  spec: TaskSpec,
): { readonly definition: TaskDefinition<TaskKind>; readonly value: TaskSpecOf<TaskKind> } {
  // Kind and message belong together by the type of the oneof; the table pairs them once more.
  return { definition: definitions[kindOf(spec)] as TaskDefinition<TaskKind>, value: spec.task.value as TaskSpecOf<TaskKind> };
}
