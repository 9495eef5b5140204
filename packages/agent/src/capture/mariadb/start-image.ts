import { type RunningPipeline, type Stage, startPipeline, startProgram } from '../../process/index.ts';

/** mariadb-backup that streams an image. */
export interface RunningImage extends Pick<RunningPipeline, 'source' | 'stdout' | 'done' | 'kill'> {
  /** What compresses it; undefined when nothing does. */
  readonly sink?: RunningPipeline['sink'];
}

/** How it is compressed: with a level of zstd, 0 for not at all, and by a program with that launcher. */
export interface Compressing extends Pick<Stage, 'launcher'> {
  readonly level: number;
}

/** Starts it. Throws the reason of a signal that is aborted already. */
export function startImage(stage: Stage, { level, launcher }: Compressing, signal: AbortSignal): RunningImage {
  if (level > 0) return startPipeline(stage, { program: 'zstd', args: ['-q', `-${level}`, '-T0', '-c'], launcher }, signal);
  const source = startProgram(stage.program, stage.args, { ...stage, signal, stdout: 'pipe' });
  if (source.stdout === undefined) throw new Error('startProgram gave no stdout although one was asked for');
  const done = source.done.then(() => undefined);
  done.catch(() => undefined);
  return { source, stdout: source.stdout, done, kill: () => source.kill() };
}
