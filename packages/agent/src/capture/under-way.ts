import { create } from '@bufbuild/protobuf';
import { type StillpointError, toStillpointError } from '@stillpoint/shared/errors';
import { type CaptureOptions, CaptureOptionsSchema } from '@stillpoint/shared/proto';
import type { Agent } from '../agent.ts';
import { killLeftBehind } from '../host/index.ts';
import { removeLeftOptionFiles } from '../mariadb/option-file.ts';
import { openRepository } from '../repository/index.ts';
import type { NodeCapture } from './node-capture.ts';
import { beginPart, partOf } from './part.ts';

/** The images that an operation has in the making, begun if there are none. Throws the system's error. */
export async function underWay(
  agent: Agent,
  operationId: string,
  setId: string,
  options: CaptureOptions = create(CaptureOptionsSchema),
): Promise<NodeCapture> {
  const known = agent.captures.get(operationId);
  if (known?.setId === setId) return known;
  await agent.captures.forget(operationId);
  const part = await beginPart(agent.config, setId, operationId, agent.clock.now());
  return agent.captures.begin({ agent, operationId, setId, part, options });
}

/** Discards the images of an operation, and the part that holds them. Gives the error to throw. */
export async function abandonCapture(agent: Agent, operationId: string, setId: string, error: unknown): Promise<StillpointError> {
  await agent.captures.forget(operationId);
  await removePart(agent, setId);
  return toStillpointError(error, 'CAPTURE_FAILED');
}

/** After an agent restart: what an interrupted stage left behind is worth nothing, as the images were in the making in memory. */
export async function recoverCapture(agent: Agent, { setId }: { readonly setId: string }): Promise<void> {
  // It ends by a broken pipe when it writes next; one that waits for a lock of the server does not write.
  await killLeftBehind(['mariadb-backup', 'mariabackup'], partOf(agent.config, setId));
  await removeLeftOptionFiles(agent.config.stateDir);
  await removePart(agent, setId);
}

/** Nothing half done stays; a part that cannot be removed now is left to the next attempt. */
async function removePart(agent: Agent, setId: string): Promise<void> {
  try {
    await openRepository(agent.config).removeUnfinishedPart(setId);
  } catch (error) {
    agent.log.warn({ setId, error: String(error) }, 'an unfinished part could not be removed');
  }
}
