import { StillpointError } from '@stillpoint/shared/errors';
import type { TaskDefinition } from '../../task/types.ts';

/** Starts one stage of the engine's processes on this node. */
export const startEngineTask: TaskDefinition<'startEngine'> = {
  run: () => Promise.reject(new StillpointError('COLUMNSTORE_UNSUPPORTED', 'This agent cannot start the engine yet')),
};
