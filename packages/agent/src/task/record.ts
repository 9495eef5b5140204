import { create, fromJson, toJson } from '@bufbuild/protobuf';
import { StillpointError, toErrorDetail } from '@stillpoint/shared/errors';
import { type TaskEnded, TaskEndedSchema, type TaskSpec, TaskSpecSchema, TaskState } from '@stillpoint/shared/proto';
import type { Agent } from '../agent.ts';
import type { Journal, JournalEntry } from '../operation/journal.ts';
import { definitionOf } from './definitions.ts';
import type { TaskDefinitions } from './types.ts';

/** What tasks run with. */
export interface TaskSurroundings {
  readonly agent: Agent;
  readonly journal: Journal;
  readonly definitions: TaskDefinitions;
}

/** What the journal says of a task. */
export interface RecordedTask {
  readonly spec: TaskSpec;
  /** Undefined when it never ended: the agent did. */
  readonly ended: TaskEnded | undefined;
}

/** How a task ended that did not succeed. */
export const failed = (state: TaskState, error: StillpointError): TaskEnded =>
  create(TaskEndedSchema, { state, error: toErrorDetail(error) });

/** What the journal last says of a task; undefined when it was never started. */
export function recordedTask(entries: readonly JournalEntry[], taskId: string): RecordedTask | undefined {
  const started = entries.findLastIndex((entry) => entry.type === 'task-started' && entry.taskId === taskId);
  const start = entries[started];
  if (start?.type !== 'task-started') return undefined;
  const end = entries.slice(started).find((entry) => entry.type === 'task-ended' && entry.taskId === taskId);
  return {
    spec: fromJson(TaskSpecSchema, start.spec, { ignoreUnknownFields: true }),
    ended: end?.type === 'task-ended' ? fromJson(TaskEndedSchema, end.ended, { ignoreUnknownFields: true }) : undefined,
  };
}

/**
 * After a restart: lets each kind of task undo or keep what it left behind, and marks what was running as interrupted. What
 * one task cannot clear up keeps neither the others nor the agent from starting.
 */
export async function recoverTasks({ agent, journal, definitions }: TaskSurroundings, operationId: string): Promise<void> {
  const entries = await journal.read(operationId);
  for (const taskId of new Set(entries.flatMap((entry) => (entry.type === 'task-started' ? [entry.taskId] : [])))) {
    const log = agent.log.child({ operation: operationId, task: taskId });
    try {
      const recorded = recordedTask(entries, taskId);
      if (recorded === undefined || recorded.ended !== undefined) continue;
      const { definition, value } = definitionOf(definitions, recorded.spec);
      await definition.recover?.(agent, value, operationId);
      log.warn('task was interrupted by the end of the agent; what it left half done was cleared up');
    } catch (err) {
      log.error({ err }, 'task was interrupted by the end of the agent; what it left half done could not be cleared up');
    }
    const error = new StillpointError('TASK_INTERRUPTED', `Task ${taskId} was running when the agent ended`, { node: agent.config.node });
    const ended = toJson(TaskEndedSchema, failed(TaskState.INTERRUPTED, error));
    await journal.append(operationId, { type: 'task-ended', at: agent.clock.now().toISOString(), taskId, ended });
  }
}
