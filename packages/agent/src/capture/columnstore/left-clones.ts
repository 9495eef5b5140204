import { removeLeftClones } from '../../columnstore/dbroot/index.ts';
import { openEngine } from '../../columnstore/discovery/index.ts';
import type { AgentConfig } from '../../config/schema.ts';

/**
 * When an agent starts, nothing is in the making: clones of dbroots that an earlier life has left would only take space. Those in a part go with
 * that. Gives the paths of what was removed. Throws COLUMNSTORE_CONFIG, or the system's error.
 */
export async function removeClonesOfEarlierLife(config: AgentConfig): Promise<string[]> {
  const engine = await openEngine(config);
  const removed = await Promise.all((engine?.owned ?? []).map((dbroot) => removeLeftClones(config.cluster, dbroot)));
  return removed.flat();
}
