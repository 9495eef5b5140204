import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { StillpointError } from '@stillpoint/shared/errors';
import { findController } from '../engine/controller.ts';
import type { FindProcesses } from '../engine/processes.ts';
import type { Engine } from '../types.ts';
import type { Stand } from './types.ts';

/**
 * What must not change while the engine is held, as it is now. ConfigRevision is that of the file as it was opened: a file of another
 * digest is another configuration anyway. Throws COLUMNSTORE_CONFIG when the file cannot be read.
 */
export async function readStand(engine: Engine, processes: FindProcesses): Promise<Stand> {
  const controller = engine.isPrimary ? await findController(processes) : undefined;
  return {
    configRevision: engine.topology.configRevision,
    configSha256: await sha256Of(engine.configFile),
    controllerPid: controller?.pid ?? 0,
    controllerStarted: controller?.startedTicks ?? 0n,
  };
}

async function sha256Of(file: string): Promise<string> {
  const content = await readFile(file).catch((cause: unknown) => {
    throw new StillpointError('COLUMNSTORE_CONFIG', `${file} can no longer be read: ${(cause as Error).message}`, { cause });
  });
  return createHash('sha256').update(content).digest('hex');
}
