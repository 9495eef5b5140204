import { StillpointError } from '@stillpoint/shared/errors';
import type { AgentConfig } from '../../config/schema.ts';
import { requireEngine } from '../service/engine.ts';
import { refuseRunningEngine } from '../service/processes.ts';
import { type CurrentBrm, currentBrm } from './current.ts';

/**
 * The files of the block resolution manager that other nodes load. Throws BRM_FAILED when this node does not keep it or it is incomplete,
 * ENGINE_RUNNING when it may change under the reader, RESTORE_REFUSED, COLUMNSTORE_CONFIG.
 */
export async function servedBrm(config: AgentConfig): Promise<CurrentBrm['files']> {
  const { isPrimary, topology } = await requireEngine(config);
  if (!isPrimary)
    throw new StillpointError('BRM_FAILED', `${config.node} does not own dbroot 1: its block resolution manager is that of another node`);
  await refuseRunningEngine(config);
  return (await currentBrm(topology.dbrmRoot)).files;
}
