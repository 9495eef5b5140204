import { runProgram } from '../../process/index.ts';
import type { EngineService } from './driver.ts';
import { serviceFailure } from './failure.ts';

/** The engine of a single node, as its packages name it: all processes at once, and the saved block resolution manager with them. */
export const ENGINE_UNIT = 'mariadb-columnstore';
/** cmapi, which can start the engine by itself. */
export const CMAPI_UNIT = 'mariadb-columnstore-cmapi';

/** A single node that cmapi does not manage. A cmapi that is installed there is stopped with the engine, and started again if that is enabled. */
export const unitService = (): EngineService => ({
  start: async (_stage, signal) => {
    await systemctl('start', ENGINE_UNIT, signal);
    if (await isEnabled(CMAPI_UNIT, signal)) await systemctl('start', CMAPI_UNIT, signal);
  },
  stop: async (_stage, signal) => {
    if (await isActive(CMAPI_UNIT, signal)) await systemctl('stop', CMAPI_UNIT, signal);
    await systemctl('stop', ENGINE_UNIT, signal);
  },
});

/** Starts or stops a unit; returns when that is done. Throws ENGINE_SERVICE_FAILED or the signal's reason. */
export async function systemctl(what: 'start' | 'stop', unit: string, signal: AbortSignal): Promise<void> {
  try {
    await runProgram('systemctl', [what, '--', unit], { signal });
  } catch (error) {
    throw serviceFailure(`The unit ${unit} did not ${what}`, error);
  }
}

/** Exit codes tell too many things: the words are asked for. A unit that there is not is inactive. */
async function isActive(unit: string, signal: AbortSignal): Promise<boolean> {
  const state = await property('ActiveState', unit, signal);
  return !['inactive', 'failed', ''].includes(state);
}

const isEnabled = async (unit: string, signal: AbortSignal): Promise<boolean> =>
  (await property('UnitFileState', unit, signal)) === 'enabled';

async function property(name: string, unit: string, signal: AbortSignal): Promise<string> {
  try {
    const { stdout } = await runProgram('systemctl', ['show', `--property=${name}`, '--value', '--', unit], { signal });
    return stdout.trim();
  } catch (error) {
    throw serviceFailure(`The state of the unit ${unit} cannot be asked for`, error);
  }
}
