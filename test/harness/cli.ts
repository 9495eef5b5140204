import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { killQuietly } from './processes.ts';

/** The entry file of the command line; run from its TypeScript sources. */
const MAIN = join(import.meta.dirname, '../../packages/cli/src/main.ts');

/** Arguments with which Node runs it. */
export const stillpointArguments = (args: readonly string[]): string[] => ['-C', 'source', MAIN, ...args];

/** One JSON line; see docs/reference/json.md. */
export type Line = { readonly type: string; readonly [field: string]: unknown };

/** How a command ended. */
export interface Ended {
  /** 128 + number for one that a signal ended. */
  readonly exitCode: number;
  readonly lines: readonly Line[];
  readonly stdout: string;
  readonly stderr: string;
  readonly elapsedMs: number;
  /** The last line of a type. Throws when there is none: with everything the command said. */
  line<T = unknown>(type: string): Line & T;
  all<T = unknown>(type: string): readonly (Line & T)[];
}

/** A command that runs. */
export interface Command {
  readonly pid: number;
  readonly ended: Promise<Ended>;
  /** Lines so far. */
  readonly lines: readonly Line[];
  /** Waits for a line; throws when the command ends without it. */
  until(wanted: (line: Line) => boolean): Promise<Line>;
  kill(signal: NodeJS.Signals): void;
}

/** Starts the real command line with `--output json`, in a process group of its own. */
export function startStillpoint(args: readonly string[], environment: Readonly<Record<string, string>> = {}): Command {
  const child = spawn(process.execPath, stillpointArguments([...args, '--output', 'json']), {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
    env: { ...process.env, NO_COLOR: '1', ...environment },
  });
  const output = collect(child);
  const startedAt = performance.now();
  const ended = once(child, 'close').then(([code, signal]: unknown[]): Ended => {
    output.end();
    const { lines, stdout, stderr } = output;
    const exitCode = typeof code === 'number' ? code : signal === 'SIGKILL' ? 137 : signal === 'SIGINT' ? 130 : 143;
    return {
      ...{ exitCode, lines, stdout: stdout(), stderr: stderr(), elapsedMs: performance.now() - startedAt },
      all: <T>(type: string) => lines.filter((line): line is Line & T => line.type === type),
      line: <T>(type: string) => {
        const found = lines.findLast((line): line is Line & T => line.type === type);
        if (found !== undefined) return found;
        throw new Error(`stillpoint ${args.join(' ')} (exit ${exitCode}) said no line of type ${type}:\n${stdout()}${stderr()}`);
      },
    };
  });
  return {
    pid: child.pid ?? 0,
    ended,
    lines: output.lines,
    until: async (wanted) => {
      for (;;) {
        const found = output.lines.find(wanted);
        if (found !== undefined) return found;
        if (output.isOver()) throw new Error(`stillpoint ${args.join(' ')} ended without that line:\n${output.stdout()}${output.stderr()}`);
        await output.more();
      }
    },
    kill: (signal) => {
      if (child.exitCode === null && child.signalCode === null) killQuietly(child.pid ?? 0, signal);
    },
  };
}

/** Lines of stdout as they come, and both streams as text. */
function collect(child: ChildProcess) {
  const lines: Line[] = [];
  let stdout = '';
  let stderr = '';
  let rest = '';
  let over = false;
  let news = Promise.withResolvers<void>();
  const tell = (): void => {
    news.resolve();
    news = Promise.withResolvers<void>();
  };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    const complete = (rest + text).split('\n');
    rest = complete.pop() ?? '';
    for (const line of complete) if (line.startsWith('{')) lines.push(JSON.parse(line) as Line);
    tell();
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  return {
    lines,
    stdout: () => stdout,
    stderr: () => stderr,
    isOver: () => over,
    more: () => news.promise,
    end: () => {
      over = true;
      tell();
    },
  };
}

/** Runs a command to its end, however it ends. */
export const runStillpoint = (args: readonly string[], environment?: Readonly<Record<string, string>>): Promise<Ended> =>
  startStillpoint(args, environment).ended;

/** Runs a command that must succeed. */
export async function stillpointOk(args: readonly string[], environment?: Readonly<Record<string, string>>): Promise<Ended> {
  const ended = await runStillpoint(args, environment);
  if (ended.exitCode !== 0) throw new Error(`stillpoint ${args.join(' ')} exited with ${ended.exitCode}:\n${ended.stdout}${ended.stderr}`);
  return ended;
}
