import { create, equals, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { StillpointError, toErrorDetail, toStillpointError } from '@stillpoint/shared/errors';
import {
  type TaskEnded,
  TaskEndedSchema,
  TaskResultSchema,
  type TaskSpec,
  TaskSpecSchema,
  TaskState,
  type WatchTaskResponseSchema,
} from '@stillpoint/shared/proto';
import type { FakeNode } from './fake-node.ts';
import { unlessAborted } from './faults.ts';

export type FakeResult = MessageInitShape<typeof TaskResultSchema>;

/** Does a kind of work on a node. */
export type FakeWork = (spec: TaskSpec['task'], operationId: string, signal: AbortSignal) => Promise<FakeResult>;

interface FakeTask {
  readonly spec: TaskSpec;
  readonly abort: AbortController;
  readonly ended: Promise<TaskEnded>;
  state: TaskState;
}

/** Long work as a real agent runs it: once per id, journaled, cancelled on request. */
export interface FakeTasks {
  start(operationId: string, taskId: string, spec: TaskSpec): { state: TaskState; started: boolean };
  watch(operationId: string, taskId: string, signal: AbortSignal): AsyncGenerator<MessageInitShape<typeof WatchTaskResponseSchema>>;
  cancel(operationId: string, taskId: string): Promise<TaskState>;
  cancelAll(operationId: string): Promise<void>;
  /** The agent is killed: nothing more is journaled. */
  kill(): void;
  running(operationId: string): boolean;
}

export function fakeTasks(node: FakeNode, work: FakeWork): FakeTasks {
  const tasks = new Map<string, FakeTask>();
  let killed = false;

  const run = async (key: string, operationId: string, spec: TaskSpec, signal: AbortSignal): Promise<TaskEnded> => {
    let ended: TaskEnded;
    try {
      await node.faults.reach(`task.${spec.task.case}`, signal);
      const result = create(TaskResultSchema, await work(spec.task, operationId, signal));
      ended = create(TaskEndedSchema, { state: TaskState.SUCCEEDED, result });
    } catch (error) {
      const state = signal.aborted ? TaskState.CANCELLED : TaskState.FAILED;
      ended = create(TaskEndedSchema, { state, error: toErrorDetail(toStillpointError(error).on(node.name)) });
    }
    if (!killed) {
      node.history.push(`${spec.task.case} ${ended.state === TaskState.SUCCEEDED ? 'succeeded' : signal.aborted ? 'cancelled' : 'failed'}`);
      node.journal.set(key, { spec: toBinary(TaskSpecSchema, spec), ended: toBinary(TaskEndedSchema, ended) });
    }
    return ended;
  };
  const begin = (key: string, operationId: string, spec: TaskSpec): FakeTask => {
    const abort = new AbortController();
    const task: FakeTask = { spec, abort, state: TaskState.RUNNING, ended: run(key, operationId, spec, abort.signal) };
    void task.ended.then(({ state }) => {
      task.state = state;
    });
    tasks.set(key, task);
    return task;
  };
  const recalled = (key: string): FakeTask | undefined => {
    const entry = node.journal.get(key);
    if (entry === undefined) return undefined;
    const interrupted = (): TaskEnded => {
      const error = new StillpointError('TASK_INTERRUPTED', `${key} was running when the agent ended`);
      return create(TaskEndedSchema, { state: TaskState.INTERRUPTED, error: toErrorDetail(error) });
    };
    const ended = entry.ended === undefined ? interrupted() : fromBinary(TaskEndedSchema, entry.ended);
    return {
      spec: fromBinary(TaskSpecSchema, entry.spec),
      abort: new AbortController(),
      ended: Promise.resolve(ended),
      state: ended.state,
    };
  };
  const find = (key: string): FakeTask | undefined => tasks.get(key) ?? recalled(key);
  const require = (operationId: string, taskId: string): FakeTask => {
    const task = find(`${operationId}/${taskId}`);
    if (task === undefined) throw new StillpointError('TASK_UNKNOWN', `no task ${taskId}`);
    return task;
  };

  return {
    start: (operationId, taskId, spec) => {
      const key = `${operationId}/${taskId}`;
      const known = find(key);
      if (known !== undefined && !equals(TaskSpecSchema, known.spec, spec))
        throw new StillpointError('TASK_CONFLICT', `${taskId} is another`);
      if (known?.state === TaskState.RUNNING || known?.state === TaskState.SUCCEEDED) return { state: known.state, started: false };
      node.history.push(`${spec.task.case} started`);
      node.journal.set(key, { spec: toBinary(TaskSpecSchema, spec), ended: undefined });
      return { state: begin(key, operationId, spec).state, started: true };
    },
    watch: async function* (operationId, taskId, signal) {
      const task = require(operationId, taskId);
      yield { event: { case: 'progress', value: { step: 'copy', bytesDone: 1n, bytesTotal: 2n } } };
      await node.faults.reach('watch', signal);
      yield { event: { case: 'ended', value: await unlessAborted(task.ended, signal) } };
    },
    cancel: async (operationId, taskId) => {
      const task = require(operationId, taskId);
      task.abort.abort(new StillpointError('CANCELLED', 'cancelled'));
      return (await task.ended).state;
    },
    cancelAll: async (operationId) => {
      const mine = [...tasks].filter(([key]) => key.startsWith(`${operationId}/`)).map(([, task]) => task);
      for (const { abort } of mine) abort.abort(new StillpointError('CANCELLED', 'the node was given back'));
      await Promise.all(mine.map(({ ended }) => ended));
    },
    kill: () => {
      killed = true;
      for (const { abort } of tasks.values()) abort.abort(new Error('killed'));
    },
    running: (operationId) => [...tasks].some(([key, { state }]) => key.startsWith(`${operationId}/`) && state === TaskState.RUNNING),
  };
}
