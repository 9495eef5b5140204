import { StillpointError } from '@stillpoint/shared/errors';
import { ACCEPTED } from '../engine/dbrm-status.ts';
import { dbrmCommand, dbrmStatus } from '../engine/dbrmctl.ts';
import type { Engine } from '../types.ts';
import type { SuspendDriver } from './types.ts';

/**
 * The read-only flag in the memory of controllernode, by `dbrmctl`: at once, and gone when controllernode ends.
 *
 * Never `startreadonly`, which 23.10.1 and later offer. It only waits for cpimport.bin, not for SQL writers, which have been drained before
 * anyway. And it cannot be taken back: it answers at once, sets the flag from a thread of its own whenever the last load has ended, and a
 * `readwrite` given meanwhile is overwritten by it, so that the engine would turn read-only after Stillpoint has left. A load that was
 * killed keeps it waiting for ever.
 */
export const dbrmctlDriver = (engine: Engine): SuspendDriver => ({
  name: 'dbrmctl',
  require: () => Promise.resolve(),
  status: (signal) => dbrmStatus(engine, signal),
  suspend: async (signal) => {
    const answer = await dbrmCommand(engine, 'readonly', 'SUSPEND_FAILED', signal);
    if (answer !== ACCEPTED) throw new StillpointError('SUSPEND_FAILED', `dbrmctl readonly was refused: ${answer}`);
  },
  resume: async (signal) => {
    const answer = await dbrmCommand(engine, 'readwrite', 'RESUME_FAILED', signal);
    if (answer !== ACCEPTED) throw new StillpointError('RESUME_FAILED', `dbrmctl readwrite was refused: ${answer}`);
    return { by: 'dbrmctl', detour: undefined };
  },
});
