/**
 * Restore on one node: stage beside the live data, switch by renames, start, replicate; back or done. Its journal
 * tells at any time what can be gone on with and what can be undone.
 */
export { finishTask } from './finish.ts';
export { replicateTask } from './replicate.ts';
export { rollbackTask } from './rollback.ts';
export { startServerTask, stopServerTask } from './server-tasks.ts';
export { stageTask } from './stage.ts';
export { unfinishedRestore } from './state.ts';
export { switchTask } from './switch.ts';
