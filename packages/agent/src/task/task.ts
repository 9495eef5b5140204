import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import {
  type TaskEnded,
  type TaskLogSchema,
  type TaskProgressSchema,
  type TaskSpec,
  TaskState,
  type WatchTaskResponseSchema,
} from '@stillpoint/shared/proto';
import type { Clock } from '@stillpoint/shared/time';
import { createNews } from './news.ts';

type Log = MessageInitShape<typeof TaskLogSchema>;
type Progress = MessageInitShape<typeof TaskProgressSchema>;
export type TaskEvent = MessageInitShape<typeof WatchTaskResponseSchema>;

/** Lines that a late watcher still gets. */
const LOG_LINES_KEPT = 500;
/** Watchers learn of progress at most this often, milliseconds. */
const PROGRESS_EVERY_MS = 100;

/** Long work that runs or has ended, and everybody who watches it. */
export interface Task {
  /** Without secrets. */
  readonly spec: TaskSpec;
  readonly state: TaskState;
  /** Cancels it with a reason. */
  readonly abort: AbortController;
  /** Resolves when it has ended; never rejects. */
  readonly ended: Promise<TaskEnded>;
  progress(step: string, bytesDone: number, bytesTotal: number): void;
  log(message: string): void;
  /** Tells the end. */
  end(ended: TaskEnded): void;
  /** The present state at once, then every change, until it has ended. */
  watch(signal: AbortSignal): AsyncGenerator<TaskEvent>;
}

/** A task that begins now. */
export function beginTask(spec: TaskSpec, clock: Clock): Task {
  const abort = new AbortController();
  const end = Promise.withResolvers<TaskEnded>();
  const logs: Log[] = [];
  let dropped = 0;
  let progress: Progress | undefined;
  let state: TaskState = TaskState.RUNNING;
  const news = createNews();
  /** How many lines were told to anybody: who takes up a watch again is not told them twice. */
  let told = 0;

  async function* watch(signal: AbortSignal): AsyncGenerator<TaskEvent> {
    let next = told;
    let shown: Progress | undefined;
    for (;;) {
      const change = news.next(signal);
      // It is awaited below, but not when the end comes first.
      change.catch(() => undefined);
      for (next = Math.max(next, dropped); next < dropped + logs.length; told = Math.max(told, ++next)) {
        const value = logs[next - dropped];
        if (value !== undefined) yield { event: { case: 'log', value } };
      }
      if (state !== TaskState.RUNNING) {
        yield { event: { case: 'ended', value: await end.promise } };
        return;
      }
      if (progress !== shown && progress !== undefined) {
        shown = progress;
        yield { event: { case: 'progress', value: shown } };
      }
      await change;
      // Progress comes by the megabyte; the end is told at once.
      await Promise.race([end.promise, clock.sleep(PROGRESS_EVERY_MS, signal)]);
    }
  }

  return {
    spec,
    abort,
    ended: end.promise,
    watch,
    get state() {
      return state;
    },
    progress: (step, done, total) => {
      progress = { step, bytesDone: BigInt(Math.max(0, Math.round(done))), bytesTotal: BigInt(Math.max(0, Math.round(total))) };
      news.tell();
    },
    log: (message) => {
      logs.push({ time: timestampFromDate(clock.now()), message });
      if (logs.length > LOG_LINES_KEPT) {
        logs.shift();
        dropped++;
      }
      news.tell();
    },
    end: (ended) => {
      state = ended.state;
      end.resolve(ended);
      news.tell();
    },
  };
}

/** A task that ended in an earlier life of the agent, as its journal tells it. */
export function endedTask(spec: TaskSpec, ended: TaskEnded, clock: Clock): Task {
  const task = beginTask(spec, clock);
  task.end(ended);
  return task;
}
