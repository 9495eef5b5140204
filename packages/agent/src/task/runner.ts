import { create, equals, fromJson, toJson } from '@bufbuild/protobuf';
import { StillpointError, toErrorDetail, toStillpointError } from '@stillpoint/shared/errors';
import { type TaskEnded, TaskEndedSchema, TaskResultSchema, type TaskSpec, TaskSpecSchema, TaskState } from '@stillpoint/shared/proto';
import type { Agent } from '../agent.ts';
import type { Journal, JournalEntry } from '../operation/journal.ts';
import { OUTLIVES_CLAIM, TASK_DEFINITIONS } from './definitions.ts';
import { beginTask, endedTask, type Task, type TaskEvent } from './task.ts';
import type { TaskContext, TaskDefinition, TaskKind, TaskSpecOf } from './types.ts';

/** Runs long work: at most once per operation and task id, journaled, whoever watches. */
export interface TaskRunner {
  /**
   * Starts a task, or finds it: running or succeeded ones are left as they are, failed ones start again.
   * Throws TASK_CONFLICT when another spec was started under that id.
   */
  start(operationId: string, taskId: string, spec: TaskSpec): Promise<{ state: TaskState; started: boolean }>;
  /** Events until the end. Throws TASK_UNKNOWN. */
  watch(operationId: string, taskId: string, signal: AbortSignal): AsyncGenerator<TaskEvent>;
  /** Cancels and waits for the end. Throws TASK_UNKNOWN. */
  cancel(operationId: string, taskId: string): Promise<TaskState>;
  /** True while a task of the operation runs that goes on without its controller. */
  outlivesClaim(operationId: string): boolean;
  /** Cancels what runs for an operation with this reason, and waits until it has ended. */
  cancelAll(operationId: string, reason: StillpointError): Promise<void>;
  /** Cancels everything: the agent stops. */
  stop(): Promise<void>;
}

const now = (agent: Agent): string => agent.clock.now().toISOString();

/** A runner with nothing to do yet; tasks of earlier lives are found in the journal. */
export function createTaskRunner(agent: Agent, journal: Journal): TaskRunner {
  const tasks = new Map<string, Task>();
  const starting = new Map<string, Promise<unknown>>();
  const keyOf = (operationId: string, taskId: string): string => `${operationId}/${taskId}`;

  const find = async (operationId: string, taskId: string): Promise<Task | undefined> => {
    const key = keyOf(operationId, taskId);
    const known = tasks.get(key) ?? recalled(await journal.read(operationId), taskId, agent);
    if (known !== undefined) tasks.set(key, tasks.get(key) ?? known);
    return tasks.get(key);
  };
  const require = async (operationId: string, taskId: string): Promise<Task> => {
    const task = await find(operationId, taskId);
    if (task !== undefined) return task;
    throw new StillpointError('TASK_UNKNOWN', `No task ${taskId} of operation ${operationId} is known here`);
  };
  const startOrFind = async (operationId: string, taskId: string, spec: TaskSpec): Promise<{ state: TaskState; started: boolean }> => {
    const known = await find(operationId, taskId);
    if (known !== undefined && !equals(TaskSpecSchema, known.spec, spec)) {
      throw new StillpointError('TASK_CONFLICT', `Task ${taskId} of operation ${operationId} was started with another content`);
    }
    if (known?.state === TaskState.RUNNING || known?.state === TaskState.SUCCEEDED) return { state: known.state, started: false };
    const task = beginTask(spec, agent.clock);
    tasks.set(keyOf(operationId, taskId), task);
    await journal.append(operationId, { type: 'task-started', at: now(agent), taskId, spec: toJson(TaskSpecSchema, spec) });
    void run(agent, journal, operationId, taskId, task);
    return { state: task.state, started: true };
  };
  const running = (operationId?: string): Task[] =>
    [...tasks]
      .filter(([key, task]) => task.state === TaskState.RUNNING && (operationId === undefined || key.startsWith(`${operationId}/`)))
      .map(([, task]) => task);
  const cancelThese = async (these: Task[], reason: StillpointError): Promise<void> => {
    for (const task of these) task.abort.abort(reason);
    await Promise.all(these.map((task) => task.ended));
  };

  return {
    start: async (operationId, taskId, spec) => {
      // Two calls at once start one task: the second waits for the first, and finds what it started.
      const key = keyOf(operationId, taskId);
      const turn = (starting.get(key) ?? Promise.resolve()).catch(() => undefined).then(() => startOrFind(operationId, taskId, spec));
      starting.set(key, turn);
      return turn.finally(() => starting.get(key) === turn && starting.delete(key));
    },
    watch: async function* (operationId, taskId, signal) {
      yield* (await require(operationId, taskId)).watch(signal);
    },
    cancel: async (operationId, taskId) => {
      const task = await require(operationId, taskId);
      task.abort.abort(new StillpointError('CANCELLED', `Task ${taskId} was cancelled`));
      return (await task.ended).state;
    },
    outlivesClaim: (operationId) => running(operationId).some(({ spec }) => OUTLIVES_CLAIM.has(kindOf(spec))),
    cancelAll: (operationId, reason) => cancelThese(running(operationId), reason),
    stop: () => cancelThese(running(), new StillpointError('TASK_INTERRUPTED', 'The agent was stopped')),
  };
}

function kindOf(spec: TaskSpec): TaskKind {
  if (spec.task.case === undefined) throw new StillpointError('USAGE', 'The task says nothing of what to do');
  return spec.task.case;
}

/** The definition of a task's kind, with its own message. */
function definitionOf(spec: TaskSpec): { definition: TaskDefinition<TaskKind>; value: TaskSpecOf<TaskKind> } {
  // Kind and message belong together by the type of the oneof; the table pairs them once more.
  return { definition: TASK_DEFINITIONS[kindOf(spec)] as TaskDefinition<TaskKind>, value: spec.task.value as TaskSpecOf<TaskKind> };
}

async function run(agent: Agent, journal: Journal, operationId: string, taskId: string, task: Task): Promise<void> {
  const log = agent.log.child({ operation: operationId, task: taskId });
  const context: TaskContext = {
    operationId,
    taskId,
    signal: task.abort.signal,
    progress: task.progress,
    log: (message) => {
      log.info(message);
      task.log(message);
    },
  };
  const begun = agent.clock.monotonicMs();
  log.info('task started');
  const ended = await outcome(agent, task, context);
  // What cannot be recorded did not succeed: after a restart nobody would know of it.
  const told = await journal
    .append(operationId, { type: 'task-ended', at: now(agent), taskId, ended: toJson(TaskEndedSchema, ended) })
    .then(() => ended)
    .catch((error: unknown) => (ended.state === TaskState.SUCCEEDED ? failed(TaskState.FAILED, toStillpointError(error)) : ended));
  const ms = Math.round(agent.clock.monotonicMs() - begun);
  if (told.state === TaskState.SUCCEEDED) log.info({ ms }, 'task succeeded');
  else log.warn({ ms, code: told.error?.code }, `task ended: ${told.error?.message ?? ''}`);
  task.end(told);
}

async function outcome(agent: Agent, task: Task, context: TaskContext): Promise<TaskEnded> {
  try {
    const { definition, value } = definitionOf(task.spec);
    const result = create(TaskResultSchema, await definition.run(agent, value, context));
    return create(TaskEndedSchema, { state: TaskState.SUCCEEDED, result });
  } catch (error) {
    const cause = toStillpointError(error);
    if (cause.code === 'INTERNAL')
      agent.log.error({ err: error, operation: context.operationId, task: context.taskId }, 'unexpected error');
    if (!task.abort.signal.aborted) return failed(TaskState.FAILED, cause.on(agent.config.node));
    const reason = toStillpointError(task.abort.signal.reason).on(agent.config.node);
    return failed(reason.code === 'TASK_INTERRUPTED' ? TaskState.INTERRUPTED : TaskState.CANCELLED, reason);
  }
}

const failed = (state: TaskState, error: StillpointError): TaskEnded => create(TaskEndedSchema, { state, error: toErrorDetail(error) });

interface Recorded {
  readonly spec: TaskSpec;
  readonly ended: TaskEnded | undefined;
}

/** What the journal last says of a task. */
function recorded(entries: readonly JournalEntry[], taskId: string): Recorded | undefined {
  const started = entries.findLastIndex((entry) => entry.type === 'task-started' && entry.taskId === taskId);
  const start = entries[started];
  if (start?.type !== 'task-started') return undefined;
  const end = entries.slice(started).find((entry) => entry.type === 'task-ended' && entry.taskId === taskId);
  return {
    spec: fromJson(TaskSpecSchema, start.spec, { ignoreUnknownFields: true }),
    ended: end?.type === 'task-ended' ? fromJson(TaskEndedSchema, end.ended, { ignoreUnknownFields: true }) : undefined,
  };
}

function recalled(entries: readonly JournalEntry[], taskId: string, agent: Agent): Task | undefined {
  const found = recorded(entries, taskId);
  return found?.ended === undefined ? undefined : endedTask(found.spec, found.ended, agent.clock);
}

/** After a restart: marks what was running as interrupted, and lets each kind undo or keep what it left behind. */
export async function recoverTasks(agent: Agent, journal: Journal, operationId: string): Promise<void> {
  const entries = await journal.read(operationId);
  const ids = new Set(entries.flatMap((entry) => (entry.type === 'task-started' ? [entry.taskId] : [])));
  for (const taskId of ids) {
    const found = recorded(entries, taskId);
    if (found === undefined || found.ended !== undefined) continue;
    const { definition, value } = definitionOf(found.spec);
    await definition.recover?.(agent, value, operationId);
    const error = new StillpointError('TASK_INTERRUPTED', `Task ${taskId} was running when the agent ended`, { node: agent.config.node });
    const ended = toJson(TaskEndedSchema, failed(TaskState.INTERRUPTED, error));
    await journal.append(operationId, { type: 'task-ended', at: now(agent), taskId, ended });
    agent.log.warn({ operation: operationId, task: taskId }, 'task was interrupted by the end of the agent; cleaned up');
  }
}
