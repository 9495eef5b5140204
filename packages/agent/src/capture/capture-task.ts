import { StillpointError, toStillpointError } from '@stillpoint/shared/errors';
import { durationOf } from '@stillpoint/shared/time';
import type { Agent } from '../agent.ts';
import type { Hold } from '../hold/types.ts';
import { killLeftBehind } from '../host/index.ts';
import { removeLeftOptionFiles } from '../mariadb/option-file.ts';
import { openRepository } from '../repository/index.ts';
import type { TaskDefinition } from '../task/types.ts';
import { captureLocked } from './mariadb/locked.ts';
import { beginPart, type CapturedImage, keepCaptured, partOf } from './part.ts';

/**
 * Takes the image of this node's storage inside the still point, into a part that publish completes later.
 * Ends at once, with the reason, when the hold is lost: an image that was taken without it is worth nothing.
 */
export const captureTask: TaskDefinition<'capture'> = {
  run: async (agent, spec, task) => {
    const hold = agent.holds.require(task.operationId);
    if (!hold.inForce) throw lostReason(hold);
    const signal = AbortSignal.any([task.signal, hold.lost]);
    try {
      const part = await beginPart(agent.config, spec.setId, task.operationId, agent.clock.now());
      const image = await captureStorage(agent, hold, {
        ...spec,
        part,
        signal,
        progress: (done, total) => task.progress('copy', done, total),
      });
      if (image === undefined) return { result: { case: 'capture', value: {} } };
      await keepCaptured(part, image);
      signal.throwIfAborted();
      return {
        result: {
          case: 'capture',
          value: {
            ...(hold.position?.logBin ? { position: hold.position } : {}),
            dataBytes: BigInt(image.dataBytes),
            storedBytes: BigInt(image.shard.storedBytes),
            took: durationOf(image.captureMs),
          },
        },
      };
    } catch (error) {
      await removePart(agent, spec.setId);
      throw toStillpointError(error, 'CAPTURE_FAILED');
    }
  },
  recover: async (agent, { setId }) => {
    // It ends by a broken pipe when it writes next; one that waits for a lock of the server does not write.
    await killLeftBehind(['mariadb-backup'], partOf(agent.config, setId));
    await removeLeftOptionFiles(agent.config.stateDir);
    await removePart(agent, setId);
  },
};

const lostReason = (hold: Hold): StillpointError =>
  hold.lost.aborted
    ? toStillpointError(hold.lost.reason)
    : new StillpointError('HOLD_LOST', 'The hold was let go before the capture began');

/** Every kind of storage of the node. Today that is its MariaDB server, if it has one. */
async function captureStorage(
  agent: Agent,
  hold: Hold,
  how: {
    readonly part: string;
    readonly compressionLevel: number;
    readonly parallel: number;
    readonly signal: AbortSignal;
    readonly progress: (bytesDone: number, bytesTotal: number) => void;
  },
): Promise<CapturedImage | undefined> {
  const { mariadb } = agent.config;
  if (mariadb === undefined || hold.lock === undefined) return undefined;
  return captureLocked({ agent, mariadb, lock: hold.lock, ...how });
}

/** Nothing half done stays; a part that cannot be removed now is left to the next attempt. */
async function removePart(agent: Agent, setId: string): Promise<void> {
  try {
    await openRepository(agent.config).removeUnfinishedPart(setId);
  } catch (error) {
    agent.log.warn({ setId, error: String(error) }, 'an unfinished part could not be removed');
  }
}
