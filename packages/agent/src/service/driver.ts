import { open } from 'node:fs/promises';
import { StillpointError } from '@stillpoint/shared/errors';
import type { ServiceConfig } from '../config/schema.ts';
import { ProgramFailure, runProgram } from '../process/index.ts';
import { programMissing } from './missing.ts';
import { type ServerPlace, signOfServer } from './running.ts';

/** Starts and stops the server of this node. Throws SERVICE_FAILED or the signal's reason. */
export interface ServiceDriver {
  /** Returns once the server was started; it need not answer yet. Starting a running one changes nothing. */
  start(signal: AbortSignal): Promise<void>;
  /** Returns once the server has stopped. Stopping a stopped one changes nothing. */
  stop(signal: AbortSignal): Promise<void>;
  /** True when anything shows that the server runs, starts or stops. */
  isRunning(signal: AbortSignal): Promise<boolean>;
}

/** What a driver looks at besides the service itself. */
export interface ServiceSurroundings extends ServerPlace {
  /** Its end is told when the server cannot be started or stopped; empty for none. */
  readonly errorLog: string;
}

/** The driver that the configuration names. */
export function serviceDriver(service: ServiceConfig, place: ServiceSurroundings): ServiceDriver {
  const running = async (): Promise<boolean> => (await signOfServer(place)) !== undefined;
  const { start, stop, isRunning } = service.driver === 'systemd' ? systemd(service.unit, running) : commands(service, running);
  const telling = async (what: 'start' | 'stop', work: Promise<void>): Promise<void> => {
    try {
      await work;
    } catch (error) {
      if (error instanceof ProgramFailure) throw await serviceFailure(what, error.lastLines(3) || error.message, place.errorLog, error);
      // What is missing is no tool of ours, but what the configuration names.
      if (error instanceof StillpointError && error.code === 'TOOL_MISSING') throw programMissing(what, programOf(service, what), error);
      throw error;
    }
  };
  return {
    start: (signal) => telling('start', start(signal)),
    stop: async (signal) => {
      await telling('stop', stop(signal));
      const sign = await signOfServer(place);
      if (sign !== undefined) throw await serviceFailure('stop', `the service driver says it has stopped, but ${sign}`, place.errorLog);
    },
    isRunning,
  };
}

const programOf = (service: ServiceConfig, what: 'start' | 'stop'): string =>
  service.driver === 'systemd' ? 'systemctl' : (service[what][0] ?? '');

function systemd(unit: string, running: () => Promise<boolean>): ServiceDriver {
  const systemctl = async (signal: AbortSignal, ...args: string[]): Promise<void> => {
    await runProgram('systemctl', [...args, '--', unit], { signal });
  };
  return {
    start: (signal) => systemctl(signal, 'start'),
    stop: (signal) => systemctl(signal, 'stop'),
    isRunning: async (signal) => {
      if (await running()) return true;
      // Exit status 3 and a word for inactive and failed; a unit that activates or deactivates counts as running.
      const { stdout } = await runProgram('systemctl', ['show', '--property=ActiveState', '--value', '--', unit], { signal });
      return !['inactive', 'failed'].includes(stdout.trim());
    },
  };
}

function commands(service: Extract<ServiceConfig, { driver: 'commands' }>, running: () => Promise<boolean>): ServiceDriver {
  const run = async ([program, ...args]: readonly string[], output: 'keep' | 'discard', signal: AbortSignal): Promise<void> => {
    await runProgram(program ?? '', args, { signal, output });
  };
  return {
    start: async (signal) => {
      // What it leaves running would keep our end of its output open for ever; the server's own log tells what went wrong.
      if (!(await running())) await run(service.start, 'discard', signal);
    },
    stop: async (signal) => {
      if (await running()) await run(service.stop, 'keep', signal);
    },
    isRunning: running,
  };
}

/** SERVICE_FAILED with what the program and the server had to say last. */
export async function serviceFailure(what: 'start' | 'stop', why: string, errorLog: string, cause?: unknown): Promise<StillpointError> {
  const lines = await lastErrors(errorLog);
  const told = lines === '' ? '' : `\nThe last lines of ${errorLog}:\n${lines}`;
  return new StillpointError('SERVICE_FAILED', `The server did not ${what}: ${why}${told}`, { cause });
}

const TAIL_BYTES = 16 * 1024;

/** The last errors in a server's log, or its last lines when it tells none; at most five. */
export async function lastErrors(errorLog: string): Promise<string> {
  if (errorLog === '') return '';
  const text = await endOf(errorLog).catch(() => '');
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const errors = lines.filter((line) => line.includes('[ERROR]'));
  return (errors.length === 0 ? lines : errors).slice(-5).join('\n');
}

async function endOf(path: string): Promise<string> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    const length = Math.min(size, TAIL_BYTES);
    const { buffer } = await file.read(Buffer.alloc(length), 0, length, size - length);
    return buffer.toString('utf8');
  } finally {
    await file.close();
  }
}
