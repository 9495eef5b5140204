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

type Log = MessageInitShape<typeof TaskLogSchema>;
type Progress = MessageInitShape<typeof TaskProgressSchema>;
export type TaskEvent = MessageInitShape<typeof WatchTaskResponseSchema>;

/** Lines that a late watcher still gets. */
const LOG_LINES_KEPT = 500;
/** Watchers learn of progress at most this often, milliseconds. */
const PROGRESS_EVERY_MS = 100;

/** Long work that runs or has ended, and everybody who watches it. */
export interface Task {
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
  let change = Promise.withResolvers<void>();
  const changed = (): void => {
    change.resolve();
    change = Promise.withResolvers();
  };

  async function* watch(signal: AbortSignal): AsyncGenerator<TaskEvent> {
    let logsSeen = 0;
    let progressSeen: Progress | undefined;
    for (;;) {
      const next = change.promise;
      for (logsSeen = Math.max(logsSeen, dropped); logsSeen < dropped + logs.length; logsSeen++) {
        const value = logs[logsSeen - dropped];
        if (value !== undefined) yield { event: { case: 'log', value } };
      }
      if (progress !== progressSeen && progress !== undefined) yield { event: { case: 'progress', value: progress } };
      progressSeen = progress;
      if (state !== TaskState.RUNNING) {
        if (logsSeen < dropped + logs.length) continue;
        yield { event: { case: 'ended', value: await end.promise } };
        return;
      }
      await untilAborted(next, signal);
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
      changed();
    },
    log: (message) => {
      logs.push({ time: timestampFromDate(clock.now()), message });
      if (logs.length > LOG_LINES_KEPT) {
        logs.shift();
        dropped++;
      }
      changed();
    },
    end: (ended) => {
      state = ended.state;
      end.resolve(ended);
      changed();
    },
  };
}

/** A task that ended in an earlier life of the agent, as its journal tells it. */
export function endedTask(spec: TaskSpec, ended: TaskEnded, clock: Clock): Task {
  const task = beginTask(spec, clock);
  task.end(ended);
  return task;
}

function untilAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.reject(signal.reason as Error);
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(signal.reason as Error);
  signal.addEventListener('abort', onAbort, { once: true });
  return Promise.race([promise, aborted.promise]).finally(() => signal.removeEventListener('abort', onAbort));
}
