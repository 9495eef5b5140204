import { StillpointError } from '@stillpoint/shared/errors';
import type { ServiceConfig } from '../config/schema.ts';
import { findProgram, ProgramFailure, runProgram } from '../process/index.ts';
import { programMissing, SERVICE_HINT } from './missing.ts';

const LOOK_MS = 10_000;

/**
 * Sees to it that the service could be started and stopped, without doing either: its programs are there, or systemd
 * knows the unit. Gives what will be called. Throws SERVICE_FAILED or the signal's reason.
 */
export async function checkService(service: ServiceConfig, signal?: AbortSignal): Promise<string> {
  if (service.driver === 'systemd') return checkUnit(service.unit, signal);
  const [start = '', stop = ''] = await Promise.all([found('start', service.start), found('stop', service.stop)]);
  return `Started by ${start}, stopped by ${stop}`;
}

async function found(what: 'start' | 'stop', [program = '']: readonly string[]): Promise<string> {
  const path = await findProgram(program);
  if (path === undefined) throw programMissing(what, program);
  return path;
}

async function checkUnit(unit: string, signal?: AbortSignal): Promise<string> {
  if ((await findProgram('systemctl')) === undefined) throw programMissing('start', 'systemctl');
  try {
    await runProgram('systemctl', ['cat', '--', unit], { signal, timeoutMs: LOOK_MS });
    return `Started and stopped by systemctl, unit ${unit}`;
  } catch (error) {
    if (!(error instanceof ProgramFailure)) throw error;
    const why = error.lastLines(2) || error.message;
    throw new StillpointError('SERVICE_FAILED', `systemctl does not know the unit ${unit}: ${why}`, { hint: SERVICE_HINT, cause: error });
  }
}
