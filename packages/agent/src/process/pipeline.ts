import type { Readable } from 'node:stream';
import { type ProgramOptions, type RunningProgram, startProgram } from './program.ts';

/** One program of a pipeline. */
export interface Stage extends Omit<ProgramOptions, 'signal'> {
  readonly program: string;
  readonly args: readonly string[];
}

/** Two programs, the first writing straight into the second. */
export interface RunningPipeline {
  readonly source: RunningProgram;
  readonly sink: RunningProgram;
  /** What the second one writes; must be read. */
  readonly stdout: Readable;
  /** Both have exited with 0. Rejected with the failure that came first: the other program is ended then, and so fails as well. */
  readonly done: Promise<void>;
  /** Ends both. */
  kill(): void;
}

/**
 * Connects stdout of `source` to stdin of `sink` by a file descriptor: no byte in between passes through this process.
 * When this process dies, the reader of `sink` is gone, so `sink` and then `source` end by a broken pipe.
 */
export function startPipeline(source: Stage, sink: Stage, signal?: AbortSignal): RunningPipeline {
  const second = startProgram(sink.program, sink.args, { ...sink, signal, stdin: 'pipe', stdout: 'pipe' });
  const first = startProgram(source.program, source.args, { ...source, signal, stdout: second.stdin ?? 'ignore' });
  // The descriptor now belongs to the first program alone: while we kept a copy, the second would never see the end.
  second.stdin?.on('error', () => undefined);
  second.stdin?.destroy();
  if (second.stdout === undefined) throw new Error('startProgram gave no stdout although one was asked for');
  const kill = (): void => {
    first.kill();
    second.kill();
  };
  return { source: first, sink: second, stdout: second.stdout, done: bothEnded(first, second, kill), kill };
}

function bothEnded(first: RunningProgram, second: RunningProgram, kill: () => void): Promise<void> {
  const failures: unknown[] = [];
  const watch = (program: RunningProgram): Promise<void> =>
    program.done.then(
      () => undefined,
      (failure: unknown) => {
        failures.push(failure);
        kill();
      },
    );
  const done = Promise.all([watch(first), watch(second)]).then(() => {
    if (failures.length > 0) throw failures[0];
  });
  done.catch(() => undefined);
  return done;
}
