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
  /** Both have exited with 0. Rejects as the `done` of that program does that is to blame. */
  readonly done: Promise<void>;
  /** Ends both. */
  kill(): void;
}

/**
 * Connects stdout of `source` to stdin of `sink` by a file descriptor: no byte in between passes through this process.
 * When this process dies, the reader of `sink` is gone, so `sink` and then `source` end by a broken pipe.
 * Throws the reason of a signal that is aborted already.
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
  const done = endOf(first, second);
  done.catch(() => undefined);
  return { source: first, sink: second, stdout: second.stdout, done, kill };
}

/**
 * The failure of the second program comes before that of the first: a program whose reader is gone fails in consequence,
 * whereas one whose writer is gone merely comes to the end of its input.
 */
async function endOf(first: RunningProgram, second: RunningProgram): Promise<void> {
  // What the first one would still write nobody reads; it may not write, and so not notice, for long.
  second.done.catch(() => first.kill());
  const [source, sink] = await Promise.allSettled([first.done, second.done]);
  if (sink.status === 'rejected') throw sink.reason;
  if (source.status === 'rejected') throw source.reason;
}
