import { StillpointError } from '@stillpoint/shared/errors';
import type { AgentConfig } from '../../config/schema.ts';
import { openEngine } from '../discovery/index.ts';
import type { Engine } from '../types.ts';

/** The engine of this node. Throws RESTORE_REFUSED when there is none or it is in doubt which module this node is, or COLUMNSTORE_CONFIG. */
export async function requireEngine(config: AgentConfig): Promise<Engine> {
  const engine = await openEngine(config);
  if (engine !== undefined && engine.module !== 0) return engine;
  const why =
    engine === undefined
      ? `There is no ${config.columnstore.config}`
      : engine.contradictions.join('; ') || `${engine.configFile} does not name it`;
  throw new StillpointError('RESTORE_REFUSED', `${config.node} is no node of the engine: ${why}`);
}
