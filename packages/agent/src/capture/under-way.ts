import { create } from '@bufbuild/protobuf';
import { type StillpointError, toStillpointError } from '@stillpoint/shared/errors';
import { type CaptureOptions, CaptureOptionsSchema } from '@stillpoint/shared/proto';
import type { Agent } from '../agent.ts';
import { killLeftBehind } from '../host/index.ts';
import { removeLeftOptionFiles } from '../mariadb/option-file.ts';
import { dropPrecopied, keepPrecopied, takePrecopied } from '../precopied/index.ts';
import { openRepository } from '../repository/index.ts';
import type { TaskContext } from '../task/types.ts';
import type { NodeCapture } from './node-capture.ts';
import { beginPart, partOf } from './part.ts';

/** What a part is begun for. */
interface Beginning {
  readonly operationId: string;
  readonly setId: string;
  readonly options?: CaptureOptions;
  /** Whether it may begin with what an interrupted backup had copied: whoever says so looks through it. */
  readonly takesOver?: boolean;
}

/** The images that an operation has in the making, begun if there are none. Throws the system's error. */
export async function underWay(
  agent: Agent,
  { operationId, setId, options = create(CaptureOptionsSchema), takesOver = false }: Beginning,
): Promise<NodeCapture> {
  const known = agent.captures.get(operationId);
  if (known?.setId === setId) return known;
  await agent.captures.forget(operationId);
  if (takesOver) await takePrecopied(agent.config, setId);
  const part = await beginPart(agent.config, setId, operationId, agent.clock.now());
  return agent.captures.begin({ agent, operationId, setId, part, options });
}

/**
 * Discards the images of an operation, and the part that holds them but for what was copied of dbroots before the still point: whoever ends the operation
 * decides on that. Nothing is kept on a full disk. Gives the error to throw.
 */
export async function abandonCapture(
  agent: Agent,
  { log, operationId }: Pick<TaskContext, 'log' | 'operationId'>,
  setId: string,
  error: unknown,
): Promise<StillpointError> {
  await agent.captures.forget(operationId);
  const failure = toStillpointError(error, 'CAPTURE_FAILED');
  const isKept = await clearPart(agent, setId, failure.code !== 'DISK_FULL');
  if (isKept && failure.code !== 'CANCELLED') log('what was copied of dbroots before the still point is kept: the next backup uses it');
  return failure;
}

/**
 * After an agent restart: what an interrupted stage left behind is worth nothing, as the images were in the making in memory. But for what was copied of
 * dbroots before the still point, of which there is a record.
 */
export async function recoverCapture(agent: Agent, { setId }: { readonly setId: string }): Promise<void> {
  // It ends by a broken pipe when it writes next; one that waits for a lock of the server does not write.
  await killLeftBehind(['mariadb-backup', 'mariabackup'], partOf(agent.config, setId));
  await removeLeftOptionFiles(agent.config.stateDir);
  await clearPart(agent, setId, true);
}

/** Nothing half done stays; a part that cannot be removed now is left to the next attempt. Gives whether something was set aside. */
async function clearPart(agent: Agent, setId: string, keeps: boolean): Promise<boolean> {
  try {
    if (!keeps) await dropPrecopied(agent.config);
    const isKept = keeps && (await keepPrecopied(agent.config, setId));
    await openRepository(agent.config).removeUnfinishedPart(setId);
    return isKept;
  } catch (error) {
    agent.log.warn({ setId, error: String(error) }, 'an unfinished part could not be removed');
    return false;
  }
}
