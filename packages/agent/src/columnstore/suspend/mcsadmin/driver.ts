import { dbrmStatus } from '../../engine/dbrmctl.ts';
import { ask, engineProgram } from '../../engine/program.ts';
import type { Engine, EngineStatus } from '../../types.ts';
import type { SuspendDriver } from '../types.ts';
import { parseSystemStatus } from './answers.ts';
import { requestOfMcsadmin } from './request.ts';

/** A status needs the whole system to be asked. */
const STATUS_MS = 10_000;

/**
 * SUSPENDED in the state of the system, by `mcsadmin` of releases before 5. It survives a restart and is in every image that is taken
 * under it, so a restored system has to be resumed. ACTIVE alone is not believed: it is shown with controllernode down, or read-only, too.
 *
 * The form WAIT asks no question. When mcsadmin is ended while it waits, a resume takes the pending suspension back with it.
 */
export const mcsadminDriver = (engine: Engine): SuspendDriver => ({
  name: 'mcsadmin',
  require: () => Promise.resolve(),
  status: (signal) => bothStatuses(engine, signal),
  suspend: async (signal) => {
    await requestOfMcsadmin(engine, 'suspend', 'SUSPEND_FAILED', signal);
  },
  resume: async (signal) => {
    await requestOfMcsadmin(engine, 'resume', 'RESUME_FAILED', signal);
    return { by: 'mcsadmin', detour: undefined };
  },
});

async function bothStatuses(engine: Engine, signal: AbortSignal): Promise<EngineStatus> {
  const [system, dbrm] = await Promise.all([systemStatus(engine, signal), dbrmStatus(engine, signal)]);
  if (system.mode === 'unknown' || dbrm.mode === 'unreachable' || dbrm.mode === 'unknown') {
    return { mode: dbrm.mode === 'unreachable' ? 'unreachable' : 'unknown', text: `${system.text}; ${dbrm.text}`, ready: false };
  }
  if (system.mode === 'read-only') return system;
  return { ...dbrm, text: `${system.text}; ${dbrm.text}`, ready: dbrm.ready && system.ready };
}

async function systemStatus(engine: Engine, signal: AbortSignal): Promise<EngineStatus> {
  try {
    const { stdout, stderr } = await ask(engineProgram(engine, 'mcsadmin'), ['getSystemStatus'], { signal, timeoutMs: STATUS_MS });
    return parseSystemStatus(stdout === '' ? stderr : stdout);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    return { mode: 'unknown', text: `mcsadmin getSystemStatus: ${error instanceof Error ? error.message : String(error)}`, ready: false };
  }
}
