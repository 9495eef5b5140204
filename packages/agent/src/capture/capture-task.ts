import type { MessageInitShape } from '@bufbuild/protobuf';
import { StillpointError, toStillpointError } from '@stillpoint/shared/errors';
import type { CaptureResultSchema } from '@stillpoint/shared/proto';
import { durationOf } from '@stillpoint/shared/time';
import type { Agent } from '../agent.ts';
import type { Hold } from '../hold/types.ts';
import { killLeftBehind } from '../host/index.ts';
import { removeLeftOptionFiles } from '../mariadb/option-file.ts';
import { openRepository } from '../repository/index.ts';
import { together } from '../task/together.ts';
import type { TaskContext, TaskDefinition, TaskSpecOf } from '../task/types.ts';
import { captureEngine, type EngineImage } from './columnstore/engine-image.ts';
import { captureLocked } from './mariadb/locked.ts';
import { beginPart, type CapturedImages, keepCaptured, partOf, rememberHold, type ServerImage } from './part.ts';
import { addedUp } from './progress.ts';

/**
 * Takes the image of this node's storage inside the still point, into a part that publish completes later.
 * Ends at once, with the reason, when the hold is lost: an image that was taken without it is worth nothing.
 */
export const captureTask: TaskDefinition<'capture'> = {
  run: async (agent, spec, task) => {
    const hold = agent.holds.require(task.operationId);
    if (!hold.inForce) throw lostReason(hold);
    const within = { ...task, signal: AbortSignal.any([task.signal, hold.lost]) };
    try {
      const part = await beginPart(agent.config, spec.setId, task.operationId, agent.clock.now());
      const images = await captureStorage(agent, hold, spec, part, within);
      await keepCaptured(part, images);
      within.signal.throwIfAborted();
      rememberHold(hold);
      return { result: { case: 'capture', value: resultOf(hold, images) } };
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

/** Every kind of storage of the node at the same time: its MariaDB server and its dbroots, whichever it has. */
async function captureStorage(
  agent: Agent,
  hold: Hold,
  spec: TaskSpecOf<'capture'>,
  part: string,
  task: TaskContext,
): Promise<CapturedImages> {
  const startedMs = agent.clock.monotonicMs();
  const { mariadb } = agent.config;
  const { lock } = hold;
  const progress = addedUp((done, total) => task.progress('copy', done, total));
  const how = { agent, hold, part, compressionLevel: spec.compressionLevel };
  const [server, engine] = await together<[ServerImage | undefined, EngineImage | undefined]>(task.signal, [
    async (signal) =>
      mariadb === undefined || lock === undefined
        ? undefined
        : captureLocked({ ...how, mariadb, lock, parallel: spec.parallel, progress: progress(), signal }),
    (signal) => captureEngine({ ...how, note: (message) => task.log(message), progress: progress(), signal }),
  ]);
  return { ...(server && { server }), ...(engine && { engine }), captureMs: agent.clock.monotonicMs() - startedMs };
}

function resultOf({ position }: Hold, { server, engine, captureMs }: CapturedImages): MessageInitShape<typeof CaptureResultSchema> {
  const shards = new Map(engine?.shards.map(({ name, storedBytes }) => [name, storedBytes]));
  const dbroots = (engine?.columnstore.dbroots ?? []).map(({ number, files, dataBytes, ...dbroot }) => ({
    number,
    files: BigInt(files),
    bytes: BigInt(dataBytes),
    storedBytes: BigInt([...dbroot.shards, dbroot.list].reduce((sum, name) => sum + (shards.get(name) ?? 0), 0)),
  }));
  const sum = (key: 'bytes' | 'storedBytes'): bigint => dbroots.reduce((all, dbroot) => all + dbroot[key], 0n);
  return {
    ...(position?.logBin ? { position } : {}),
    dataBytes: BigInt(server?.dataBytes ?? 0) + sum('bytes'),
    storedBytes: BigInt(server?.shard.storedBytes ?? 0) + sum('storedBytes'),
    took: durationOf(captureMs),
    dbroots,
  };
}

/** Nothing half done stays; a part that cannot be removed now is left to the next attempt. */
async function removePart(agent: Agent, setId: string): Promise<void> {
  try {
    await openRepository(agent.config).removeUnfinishedPart(setId);
  } catch (error) {
    agent.log.warn({ setId, error: String(error) }, 'an unfinished part could not be removed');
  }
}
