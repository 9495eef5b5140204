import { StillpointError } from '@stillpoint/shared/errors';

/** How a program ended that did not end well. Callers turn it into a StillpointError of their own. */
export class ProgramFailure extends Error {
  /** The program as it was called, without its arguments. */
  readonly program: string;
  /** Undefined when a signal ended it. */
  readonly exitCode: number | undefined;
  readonly signal: NodeJS.Signals | undefined;
  /** The last lines it wrote to stderr. */
  readonly stderrTail: string;
  readonly timedOut: boolean;

  constructor(
    program: string,
    end: {
      readonly exitCode?: number | undefined;
      readonly signal?: NodeJS.Signals | undefined;
      readonly stderrTail: string;
      readonly timedOut?: boolean;
      readonly cause?: unknown;
    },
  ) {
    super(`${program} ${describeEnd(end)}`, end.cause === undefined ? undefined : { cause: end.cause });
    this.name = 'ProgramFailure';
    this.program = program;
    this.exitCode = end.exitCode;
    this.signal = end.signal;
    this.stderrTail = end.stderrTail;
    this.timedOut = end.timedOut ?? false;
  }

  /** The last `count` lines of stderr that are not empty, for an error message. */
  lastLines(count: number): string {
    const lines = this.stderrTail.split('\n').filter((line) => line.trim() !== '');
    return lines.slice(-count).join('\n');
  }
}

function describeEnd(end: {
  readonly exitCode?: number | undefined;
  readonly signal?: NodeJS.Signals | undefined;
  readonly timedOut?: boolean;
  readonly cause?: unknown;
}): string {
  if (end.timedOut) return 'did not end in time and was killed';
  if (end.signal !== undefined) return `was ended by ${end.signal}`;
  if (end.exitCode !== undefined) return `exited with ${end.exitCode}`;
  return `could not be run: ${end.cause instanceof Error ? end.cause.message : String(end.cause)}`;
}

/** A program that is not there, or that may not be executed. */
export const toolMissing = (program: string, cause: unknown): StillpointError =>
  new StillpointError('TOOL_MISSING', `The program ${program} is not installed or may not be executed`, { cause });
