import { PassThrough, pipeline, type Readable, type Writable } from 'node:stream';
import { errnoOf } from '@stillpoint/shared/errors';
import { ExecaError, execa } from 'execa';
import { ProgramFailure, toolMissing } from './failure.ts';
import { searchPath } from './find.ts';
import { Lines, Tail } from './tail.ts';

const STDERR_LIMIT = 64 * 1024;
const STDOUT_LIMIT = 4 * 1024 * 1024;
const KILL_DELAY_MS = 5_000;
/** Bytes kept for a reader that is busy. */
const READ_AHEAD = 1024 * 1024;

/** What every program may be given. Secrets never go into the arguments: use the environment or a file. */
export interface ProgramOptions {
  /** Ends the program. Its reason is what the caller gets, once the program has gone. */
  readonly signal?: AbortSignal | undefined;
  /** Added to the environment of the agent; LC_ALL=C is set so that output can be read, and PATH leads to system programs too. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly cwd?: string | undefined;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  /** Longest run time in milliseconds. Default: none. */
  readonly timeoutMs?: number | undefined;
  /** What ends it on abort or timeout. Default SIGTERM; mariadb-backup obeys SIGINT only. */
  readonly killSignal?: NodeJS.Signals | undefined;
  /** How long after `killSignal` SIGKILL follows, milliseconds. Default 5000. */
  readonly killDelayMs?: number | undefined;
  /** Gets every line of stderr as it comes. */
  readonly onStderrLine?: ((line: string) => void) | undefined;
  /** A program with its arguments that becomes the real one by exec, see `tiedToAgent`. Failures name the real one. */
  readonly launcher?: readonly string[] | undefined;
}

export interface RunOptions extends ProgramOptions {
  /** What the program reads from stdin. Default: nothing. */
  readonly input?: string | Uint8Array | undefined;
  /**
   * `discard` connects stdout and stderr to /dev/null: for a program that leaves a daemon behind, which would keep
   * our end of the pipes open for ever. Default `keep`.
   */
  readonly output?: 'keep' | 'discard' | undefined;
}

/** How a program ended that was run to its end and succeeded. */
export interface ProgramResult {
  /** At most the last 4 MiB. */
  readonly stdout: string;
  /** At most the last 64 KiB. */
  readonly stderr: string;
  readonly exitCode: 0;
  readonly durationMs: number;
}

export interface StartOptions extends ProgramOptions {
  /** `pipe` gives the caller a stream to write. Default `ignore`. */
  readonly stdin?: 'pipe' | 'ignore' | undefined;
  /**
   * `pipe` gives the caller a stream to read. A stream that stands for a file descriptor is handed down as it is:
   * the program writes to it without a byte passing through here. Default `ignore`.
   */
  readonly stdout?: 'pipe' | 'ignore' | Writable | undefined;
  /** Default `pipe`: kept (bounded) and cut into lines. `inherit` is for a program that speaks to whoever reads the log of the agent. */
  readonly stderr?: 'pipe' | 'ignore' | 'inherit' | undefined;
  /**
   * The program is in a session of its own and is not ended when the agent ends, however that happens: for what must be done though the
   * agent is gone. Default false.
   */
  readonly outlives?: boolean | undefined;
  /** A descriptor of this process that the program gets as its descriptor 3. */
  readonly shared?: number | undefined;
}

/** A program that runs. */
export interface RunningProgram {
  /** Process id; undefined when it could not be started, `done` says why. */
  readonly pid: number | undefined;
  /** Present when asked for. */
  readonly stdin: Writable | undefined;
  /** Present when asked for; must be read, or the program stalls. Nothing is lost before the reader is there. */
  readonly stdout: Readable | undefined;
  /**
   * Resolves when the program has exited with 0. Rejects with ProgramFailure, with TOOL_MISSING, or with the reason of
   * the signal that ended it. Never an unhandled rejection.
   */
  readonly done: Promise<{ readonly stderrTail: string; readonly durationMs: number }>;
  /** Ends it: `killSignal`, then SIGKILL. */
  kill(): void;
  /** Stops it where it is, with everything that it has started; nothing happens to one that has ended. */
  pause(): void;
  /** Lets it go on after `pause`. */
  unpause(): void;
}

/**
 * Starts a program and leaves its streams to the caller. No shell; its own process group, which dies as a whole.
 * Throws the reason of a signal that is aborted already.
 */
export function startProgram(program: string, args: readonly string[], options: StartOptions = {}): RunningProgram {
  options.signal?.throwIfAborted();
  const tail = new Tail(STDERR_LIMIT);
  const lines = new Lines((line) => options.onStderrLine?.(line));
  const [executed = program, ...words] = [...(options.launcher ?? []), program, ...args];
  const child = execa(executed, words, {
    stdio: [
      options.stdin ?? 'ignore',
      options.stdout ?? 'ignore',
      options.stderr ?? 'pipe',
      // Any number is a descriptor; the library's types know single digits only.
      ...(options.shared === undefined ? [] : [options.shared as 3]),
    ],
    buffer: false,
    killDescendants: true,
    // With `killDescendants` every program leads a session of its own; what this adds is that an exit of the agent does not end it.
    detached: options.outlives ?? false,
    killSignal: options.killSignal ?? 'SIGTERM',
    forceKillAfterDelay: options.killDelayMs ?? KILL_DELAY_MS,
    env: { LC_ALL: 'C', PATH: searchPath(), ...options.env },
    ...defined({ cwd: options.cwd, uid: options.uid, gid: options.gid, timeout: options.timeoutMs, cancelSignal: options.signal }),
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    tail.push(chunk);
    lines.push(chunk.toString('utf8'));
  });
  const done = child.then(
    ({ durationMs }) => {
      lines.end();
      return { stderrTail: tail.text(), durationMs };
    },
    (error: unknown) => {
      lines.end();
      if (hasEndedWell(error)) return { stderrTail: tail.text(), durationMs: error.durationMs };
      throw options.signal?.aborted && (!(error instanceof ExecaError) || error.isCanceled)
        ? options.signal.reason
        : toFailure(program, error, tail.text(), options.launcher !== undefined);
    },
  );
  let ended = false;
  const end = (): void => {
    ended = true;
  };
  done.then(end, end);
  const running = (): number | undefined => (ended ? undefined : child.pid);
  return {
    pid: child.pid,
    stdin: child.stdin ?? undefined,
    stdout: child.stdout === null ? undefined : kept(child.stdout),
    done,
    kill: () => void child.kill(),
    pause: () => signalGroup(running(), 'SIGSTOP'),
    unpause: () => signalGroup(running(), 'SIGCONT'),
  };
}

/** Every program leads a process group of its own, see `killDescendants`; its number stays taken for as long as anybody is in it. */
function signalGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if (errnoOf(error) !== 'ESRCH') throw error;
  }
}

/**
 * A stream that waits for its reader. That of a child process does not: both execa and Node set it flowing when nobody
 * reads it yet, soon after the start and at the exit, and what comes before the reader is gone without an error.
 */
function kept(stdout: Readable): Readable {
  const output = new PassThrough({ highWaterMark: READ_AHEAD });
  // Not pipe(): a stream that is cut off must end its reader with an error, and the other way round.
  pipeline(stdout, output, () => undefined);
  return output;
}

/** Runs a program to its end. Throws as `RunningProgram.done` does. */
export async function runProgram(program: string, args: readonly string[], options: RunOptions = {}): Promise<ProgramResult> {
  const { input, output = 'keep', ...rest } = options;
  const end = new Tail(STDOUT_LIMIT);
  const stdio = output === 'keep' ? 'pipe' : 'ignore';
  const running = startProgram(program, args, { ...rest, stdin: input === undefined ? 'ignore' : 'pipe', stdout: stdio, stderr: stdio });
  running.stdout?.on('data', (chunk: Buffer) => end.push(chunk));
  // A program may end without reading all of its input; how it ends tells whether that was right.
  running.stdin?.on('error', () => undefined);
  running.stdin?.end(input);
  const { stderrTail, durationMs } = await running.done;
  return { stdout: end.text(), stderr: stderrTail, exitCode: 0, durationMs };
}

/** True when only a stream of ours was cut, because it was handed on or not read to its end: the program is not to blame. */
const hasEndedWell = (error: unknown): error is ExecaError =>
  error instanceof ExecaError && error.exitCode === 0 && !error.isCanceled && !error.timedOut;

/** What a launcher exits with when there is no program to become. */
const NOT_FOUND = 127;

function toFailure(program: string, error: unknown, stderrTail: string, launched: boolean): Error {
  const cause = error instanceof ExecaError ? error.cause : error;
  const errno = errnoOf(cause) ?? (error instanceof ExecaError ? error.code : undefined);
  if (errno === 'ENOENT' || errno === 'EACCES') return toolMissing(program, cause);
  if (!(error instanceof ExecaError)) return new ProgramFailure(program, { stderrTail, cause });
  const { exitCode, signal, timedOut } = error;
  if (launched && exitCode === NOT_FOUND) return toolMissing(program, error);
  return new ProgramFailure(program, { exitCode, signal, stderrTail, timedOut, cause });
}

/** Leaves out what is undefined: execa tells an absent option from an undefined one. */
function defined<T extends object>(options: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
