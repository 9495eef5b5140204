/**
 * The guardian: a process beside the agent, for the length of a hold, that keeps the order of release (the engine read-write first, SQL
 * writers second) when the agent cannot. See README.md.
 */
export { SILENT_BEYOND_LEASE_MS } from './guard.ts';
export { type Suspension, seeWritable } from './see-writable.ts';
export { settleEarlierLife } from './settle.ts';
export { type Guardian, startGuardian } from './start.ts';
export { STEADY_MS } from './steady.ts';
export { createUndoer, type Undoer } from './undoer.ts';
