import { captureTask, publishTask } from '../capture/index.ts';
import { verifyTask } from '../repository/index.ts';
import { finishTask, replicateTask, rollbackTask, stageTask, startServerTask, stopServerTask, switchTask } from '../restore/index.ts';
import type { TaskDefinitions, TaskKind } from './types.ts';

/** One definition a kind. */
export const TASK_DEFINITIONS = {
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
} satisfies TaskDefinitions;

/**
 * Kinds that go on when the controller is gone: half a restore helps nobody, and a new controller finds the result.
 * The others belong to a set that nobody would commit any more.
 */
export const OUTLIVES_CLAIM: ReadonlySet<TaskKind> = new Set([
  'stage',
  'stopServer',
  'switch',
  'startServer',
  'replicate',
  'rollback',
  'finish',
]);
