import { StillpointError } from '@stillpoint/shared/errors';
import type { TaskDefinition } from '../../task/types.ts';

/** Stops one stage of the engine's processes on this node. */
export const stopEngineTask: TaskDefinition<'stopEngine'> = {
  run: () => Promise.reject(new StillpointError('COLUMNSTORE_UNSUPPORTED', 'This agent cannot stop the engine yet')),
};
