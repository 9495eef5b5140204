import { create, equals, toJson } from '@bufbuild/protobuf';
import { StillpointError, toStillpointError } from '@stillpoint/shared/errors';
import { type TaskEnded, TaskEndedSchema, TaskResultSchema, type TaskSpec, TaskSpecSchema, TaskState } from '@stillpoint/shared/proto';
import type { Agent } from '../agent.ts';
import { definitionOf, kindOf, OUTLIVES_CLAIM } from './definitions.ts';
import { failed, recordedTask, type TaskSurroundings } from './record.ts';
import { withoutSecrets } from './secrets.ts';
import { beginTask, endedTask, type Task, type TaskEvent } from './task.ts';
import type { TaskContext } from './types.ts';

/** Runs long work: at most once at a time per operation and task id, journaled, whoever watches. */
export interface TaskRunner {
  /**
   * Starts a task, or finds it: running or succeeded ones are left as they are, failed ones start again.
   * Throws TASK_CONFLICT when another spec was started under that id, TASK_INTERRUPTED when the agent stops.
   */
  start(operationId: string, taskId: string, spec: TaskSpec): Promise<{ state: TaskState; started: boolean }>;
  /** Events until the end. Throws TASK_UNKNOWN. */
  watch(operationId: string, taskId: string, signal: AbortSignal): AsyncGenerator<TaskEvent>;
  /** Cancels and waits for the end. Throws TASK_UNKNOWN. */
  cancel(operationId: string, taskId: string): Promise<TaskState>;
  /** True while a task of the operation runs that goes on without its controller. */
  outlivesClaim(operationId: string): boolean;
  /** Cancels what runs for an operation with this reason, and waits until it has ended. Its tasks are remembered by the journal alone from then on. */
  endAll(operationId: string, reason: StillpointError): Promise<void>;
  /** Starts nothing any more and cancels everything. Gives whether all has ended within `graceMs`. */
  stop(graceMs: number): Promise<boolean>;
}

/** A runner with nothing to do yet; tasks of earlier lives are found in the journal. */
export function createTaskRunner(around: TaskSurroundings): TaskRunner {
  const { agent, journal } = around;
  // Of operations that go on: operation, task.
  const tasks = new Map<string, Map<string, Task>>();
  let turn: Promise<unknown> = Promise.resolve();
  let stopped = false;

  const find = async (operationId: string, taskId: string): Promise<Task | undefined> => {
    const known = tasks.get(operationId)?.get(taskId);
    if (known !== undefined) return known;
    const recorded = recordedTask(await journal.read(operationId), taskId);
    return recorded?.ended === undefined ? undefined : endedTask(recorded.spec, recorded.ended, agent.clock);
  };
  const require = async (operationId: string, taskId: string): Promise<Task> => {
    const task = await find(operationId, taskId);
    if (task !== undefined) return task;
    throw new StillpointError('TASK_UNKNOWN', `No task ${taskId} of operation ${operationId} is known here`);
  };
  const startOrFind = async (operationId: string, taskId: string, spec: TaskSpec): Promise<{ state: TaskState; started: boolean }> => {
    if (stopped) throw interrupted();
    kindOf(spec);
    const bare = withoutSecrets(spec);
    const known = await find(operationId, taskId);
    if (known !== undefined && !equals(TaskSpecSchema, known.spec, bare)) {
      throw new StillpointError('TASK_CONFLICT', `Task ${taskId} of operation ${operationId} was started with another content`);
    }
    if (known?.state === TaskState.RUNNING || known?.state === TaskState.SUCCEEDED) return { state: known.state, started: false };
    await journal.append(operationId, { type: 'task-started', at: nowText(agent), taskId, spec: toJson(TaskSpecSchema, bare) });
    const task = beginTask(bare, agent.clock);
    tasks.set(operationId, (tasks.get(operationId) ?? new Map<string, Task>()).set(taskId, task));
    if (stopped) task.abort.abort(interrupted());
    void run(around, operationId, taskId, task, spec);
    return { state: task.state, started: true };
  };
  const running = (operationIds: Iterable<string>): Task[] =>
    [...operationIds].flatMap((id) => [...(tasks.get(id)?.values() ?? [])]).filter(({ state }) => state === TaskState.RUNNING);

  return {
    start: (operationId, taskId, spec) => {
      // One after the other: of two calls for one task, the second finds what the first has started.
      const started = turn.then(() => startOrFind(operationId, taskId, spec));
      turn = started.catch(() => undefined);
      return started;
    },
    watch: async function* (operationId, taskId, signal) {
      yield* (await require(operationId, taskId)).watch(signal);
    },
    cancel: async (operationId, taskId) => {
      const task = await require(operationId, taskId);
      task.abort.abort(new StillpointError('CANCELLED', `Task ${taskId} was cancelled`));
      return (await task.ended).state;
    },
    outlivesClaim: (operationId) => running([operationId]).some(({ spec }) => OUTLIVES_CLAIM[kindOf(spec)]),
    endAll: async (operationId, reason) => {
      await cancel(running([operationId]), reason);
      tasks.delete(operationId);
    },
    stop: async (graceMs) => {
      stopped = true;
      await turn;
      const patience = new AbortController();
      const all = cancel(running(tasks.keys()), interrupted()).then(() => true);
      const late = agent.clock.sleep(graceMs, patience.signal).then(
        () => false,
        () => false,
      );
      return Promise.race([all, late]).finally(() => patience.abort());
    },
  };
}

const interrupted = (): StillpointError => new StillpointError('TASK_INTERRUPTED', 'The agent was stopped');
const nowText = ({ clock }: Agent): string => clock.now().toISOString();

async function cancel(tasks: readonly Task[], reason: StillpointError): Promise<void> {
  for (const task of tasks) task.abort.abort(reason);
  await Promise.all(tasks.map(({ ended }) => ended));
}

async function run(around: TaskSurroundings, operationId: string, taskId: string, task: Task, spec: TaskSpec): Promise<void> {
  const { agent, journal } = around;
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
  const ended = await outcome(around, spec, context);
  // What cannot be recorded did not succeed: after a restart nobody would know of it.
  const told = await journal
    .append(operationId, { type: 'task-ended', at: nowText(agent), taskId, ended: toJson(TaskEndedSchema, ended) })
    .then(() => ended)
    .catch((error: unknown) => (ended.state === TaskState.SUCCEEDED ? failed(TaskState.FAILED, toStillpointError(error)) : ended));
  const ms = Math.round(agent.clock.monotonicMs() - begun);
  if (told.state === TaskState.SUCCEEDED) log.info({ ms }, 'task succeeded');
  else log.warn({ ms, code: told.error?.code }, `task ended: ${told.error?.message ?? ''}`);
  task.end(told);
}

async function outcome({ agent, definitions }: TaskSurroundings, spec: TaskSpec, context: TaskContext): Promise<TaskEnded> {
  const { signal } = context;
  try {
    const { definition, value } = definitionOf(definitions, spec);
    signal.throwIfAborted();
    const result = create(TaskResultSchema, await definition.run(agent, value, context));
    return create(TaskEndedSchema, { state: TaskState.SUCCEEDED, result });
  } catch (error) {
    const cause = toStillpointError(error).on(agent.config.node);
    if (cause.code === 'INTERNAL') {
      agent.log.error({ err: error, operation: context.operationId, task: context.taskId }, 'unexpected error');
    }
    if (!signal.aborted) return failed(TaskState.FAILED, cause);
    const reason = toStillpointError(signal.reason).on(agent.config.node);
    return failed(reason.code === 'TASK_INTERRUPTED' ? TaskState.INTERRUPTED : TaskState.CANCELLED, reason);
  }
}
