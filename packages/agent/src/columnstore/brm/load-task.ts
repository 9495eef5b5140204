import { StillpointError } from '@stillpoint/shared/errors';
import type { TaskDefinition } from '../../task/types.ts';

/** Loads the block resolution manager into the shared memory of this node. */
export const loadBrmTask: TaskDefinition<'loadBrm'> = {
  run: () => Promise.reject(new StillpointError('COLUMNSTORE_UNSUPPORTED', 'This agent cannot load the block resolution manager yet')),
};
