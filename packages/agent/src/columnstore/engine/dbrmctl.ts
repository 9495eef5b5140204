import { StillpointError } from '@stillpoint/shared/errors';
import { ProgramFailure } from '../../process/index.ts';
import type { Engine, EngineStatus } from '../types.ts';
import { oneLine, parseDbrmStatus } from './dbrm-status.ts';
import { ask, engineProgram, lastLine } from './program.ts';

/** It answers at once or not at all: a controllernode that hangs, or a network that swallows packets. */
const ANSWER_MS = 5_000;

/**
 * How the engine stands, asked of controllernode; any node can ask. What goes wrong is told by `mode` and `text`. Throws only the
 * signal's reason.
 */
export async function dbrmStatus(engine: Engine, signal: AbortSignal): Promise<EngineStatus> {
  try {
    const { stdout, stderr } = await ask(engineProgram(engine, 'dbrmctl'), ['-v', 'status'], {
      signal,
      timeoutMs: ANSWER_MS,
      as: engine.owner,
    });
    const status = parseDbrmStatus(stdout);
    const noise = lastLine(stderr);
    const isPlain = status.mode === 'read-write' || status.mode === 'read-only' || noise === '';
    return isPlain ? status : { ...status, text: `${status.text} (${noise})` };
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    const text = error instanceof Error ? error.message : String(error);
    return { mode: error instanceof ProgramFailure ? 'unreachable' : 'unknown', text: `dbrmctl status: ${text}`, ready: false };
  }
}

/** Gives a command to controllernode and returns its answer, one line. Throws `code` when it did not answer, or the signal's reason. */
export async function dbrmCommand(
  engine: Engine,
  command: 'readonly' | 'readwrite',
  code: 'SUSPEND_FAILED' | 'RESUME_FAILED',
  signal: AbortSignal,
): Promise<string> {
  try {
    const { stdout, stderr } = await ask(engineProgram(engine, 'dbrmctl'), [command], { signal, timeoutMs: ANSWER_MS, as: engine.owner });
    return oneLine(stdout) || lastLine(stderr) || 'nothing';
  } catch (cause) {
    if (signal.aborted) throw signal.reason;
    const text = cause instanceof Error ? cause.message : String(cause);
    throw new StillpointError(code, `dbrmctl ${command} gave no answer: ${text}`, { cause });
  }
}
