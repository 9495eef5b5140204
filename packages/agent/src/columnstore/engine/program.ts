import { dirname, join } from 'node:path';
import { type Account, ownAccount } from '../../host/index.ts';
import { ProgramFailure, startProgram } from '../../process/index.ts';
import type { Engine } from '../types.ts';

/** What a program of the engine said. Exit codes of these programs mean little: most end with 0 whatever happened. */
export interface Said {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number;
}

export interface AskOptions {
  /** Ends the program, unless it is left out. Its reason is thrown. */
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs: number;
  /** As whom; only root can choose. Default: as the agent. */
  readonly as?: Account | undefined;
}

/** After this many milliseconds a program that was asked to end is killed: somebody waits for it. */
const KILL_DELAY_MS = 1_000;
/** Characters kept of what a program says: lists of locks are long, but not that long. */
const STDOUT_LIMIT = 4 * 1024 * 1024;

/** A program of the engine as it is started: releases before 1.4 keep them in a directory of their own that no PATH leads to. */
export const engineProgram = ({ generation, configFile }: Pick<Engine, 'generation' | 'configFile'>, name: string): string =>
  generation === 'oam' ? join(dirname(dirname(configFile)), 'bin', name) : name;

/**
 * Runs a program of the engine to its end, with nothing to read. Throws TOOL_MISSING, ProgramFailure when it did not end by itself, or
 * the signal's reason.
 */
export async function ask(program: string, args: readonly string[], { signal, timeoutMs, as }: AskOptions): Promise<Said> {
  const identity = as !== undefined && ownAccount().uid === 0 ? { uid: as.uid, gid: as.gid } : {};
  const running = startProgram(program, args, {
    ...identity,
    // The directory of the agent may be closed to that account.
    cwd: '/',
    stdout: 'pipe',
    signal,
    timeoutMs: Math.ceil(timeoutMs),
    killDelayMs: KILL_DELAY_MS,
  });
  let stdout = '';
  running.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout = (stdout + text).slice(-STDOUT_LIMIT);
  });
  try {
    const { stderrTail } = await running.done;
    return { stdout, stderr: stderrTail, exitCode: 0 };
  } catch (error) {
    if (!(error instanceof ProgramFailure) || error.timedOut || error.exitCode === undefined) throw error;
    return { stdout, stderr: error.stderrTail, exitCode: error.exitCode };
  }
}

/** The last line of a text that is not empty, cut to what fits into a message; empty when there is none. */
export function lastLine(text: string): string {
  const line = text.trimEnd().split('\n').at(-1)?.trim() ?? '';
  return line.length > LONGEST ? `${line.slice(0, LONGEST)} ...` : line;
}

const LONGEST = 300;
