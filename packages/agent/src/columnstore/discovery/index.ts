/** Discovery: what Columnstore.xml and the files around it say of the engine of this node, and what of that is there. */
export type { FindRunning } from './contradictions.ts';
export { missingHere } from './missing.ts';
export { findConfig, openEngine } from './open-engine.ts';
