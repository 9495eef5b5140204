import { dirname, join } from 'node:path';
import { openEngine } from '../../columnstore/discovery/index.ts';
import type { AgentConfig } from '../../config/schema.ts';

/**
 * Configuration of the engine on this node that goes into its part, those of them that are there; none without an engine. What of it a
 * restore puts back, and where, is a matter of its own: addresses and identities stay those of the system. Throws COLUMNSTORE_CONFIG.
 */
export async function engineConfiguration(config: AgentConfig): Promise<readonly string[]> {
  const engine = await openEngine(config);
  if (engine === undefined) return [];
  const { configFile, dataDirectory } = engine;
  return [
    configFile,
    join(dirname(configFile), 'storagemanager.cnf'),
    config.columnstore.cmapi.configFile,
    // The key with which passwords in Columnstore.xml are encrypted: without it they are lost.
    join(dataDirectory, '.secrets'),
    // For people: which module the node was.
    join(dataDirectory, 'local', 'module'),
  ];
}
