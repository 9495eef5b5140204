import { StillpointError } from '@stillpoint/shared/errors';
import type { TaskDefinition } from '../../task/types.ts';

/** Reads every ColumnStore table whole through the server of this node. */
export const proveEngineTask: TaskDefinition<'proveEngine'> = {
  run: () => Promise.reject(new StillpointError('COLUMNSTORE_UNSUPPORTED', 'This agent cannot prove the engine yet')),
};
