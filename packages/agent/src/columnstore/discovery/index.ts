/** Discovery: what Columnstore.xml and the files around it say of the engine of this node. */
export { findConfig, openEngine, readConfig } from './open-engine.ts';
