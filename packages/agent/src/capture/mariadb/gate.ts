import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { StillpointError } from '@stillpoint/shared/errors';
import { untilWritersWait } from '../../priority/come-back.ts';
import type { ServerImage } from '../part.ts';
import { type ImageWork, NOTHING_BEFORE, type Precopied, requireTaken, type StorageCapture } from '../storage.ts';
import { storingOf } from '../storing.ts';
import { type Basis, basisOf } from './basis.ts';
import { bytesWritten } from './data-bytes.ts';
import { endedBy } from './ended-by.ts';
import { type Measured, measure } from './measure.ts';
import { type ParkedBackup, park, TooFast } from './parked.ts';
import type { ServerCaptureOptions } from './server-capture.ts';
import { imageShard, nameOfImage, requireStill, serverImage, type TakenImage } from './server-image.ts';
import { makeScratch, removeScratch, requireCompleted } from './tool-files.ts';

/** A server with hardly any data is copied faster than the gate can be closed, now and then. */
const TRIES = 5;

/**
 * The image whose copy waits at the gate: mariadb-backup copies the data while clients write, and stands before a closed gate until the lock is there.
 * Only its last stages make writers wait, which depend on how many tables there are, and not on how large they are.
 *
 * The image is that of the still point because the gate was closed until the lock was asked for, the tool was stopped until it was granted, and so all of
 * its last stages lie under it; and because the tool saw the position under the lock, as whoever holds that attests.
 */
export function captureAtGate({ agent, mariadb, part, parent, options }: ServerCaptureOptions): StorageCapture<ServerImage> {
  const storing = storingOf(options);
  let parked: ParkedBackup | undefined;
  let measuring: Promise<Measured> | undefined;
  let basis: Basis | undefined;
  let taken: Pick<TakenImage, 'info'> | undefined;

  const begin = async ({ note, progress, signal }: ImageWork): Promise<ParkedBackup> => {
    await rm(join(part, nameOfImage(storing, basis).name), { force: true });
    basis = await basisOf(parent, mariadb, { note, signal });
    const file = nameOfImage(storing, basis).name;
    const scratch = await makeScratch(part);
    measuring = measure(mariadb, signal);
    const { priority, unheeded } = await untilWritersWait(storing.priority);
    for (const sentence of unheeded) note(sentence);
    return park({ agent, mariadb, part, file, scratch, storing, basis, parallel: options.parallel, priority, measuring, progress, signal });
  };
  const beginUntilParked = async (work: ImageWork): Promise<ParkedBackup> => {
    for (let tries = 1; ; tries++) {
      try {
        return await begin(work);
      } catch (error) {
        if (!(error instanceof TooFast)) throw error;
        if (tries >= TRIES)
          throw new StillpointError('CAPTURE_FAILED', `In ${TRIES} tries mariadb-backup was done before the gate was closed`);
      }
    }
  };

  return {
    gate: () => parked?.gate,
    precopy: async (work): Promise<Precopied> => {
      if (await parked?.isWaiting()) return NOTHING_BEFORE;
      await parked?.discard();
      parked = undefined;
      taken = undefined;
      parked = await beginUntilParked(work);
      const { pid } = parked.stream.tool;
      return { bytes: (pid === undefined ? undefined : await bytesWritten(pid)) ?? 0, changedBytes: 0 };
    },
    take: async ({ lock }, { progress, signal }) => {
      if (lock === undefined) throw new StillpointError('HOLD_LOST', 'The hold has no lock on the server whose image is to be taken');
      if (parked === undefined) throw new StillpointError('HOLD_LOST', 'No mariadb-backup waited at the gate when the lock was taken');
      const one = parked;
      await endedBy(
        signal,
        () => one.discard(),
        async () => {
          await one.copiedUnder(lock.connectionId);
          const info = await requireCompleted(part, basis);
          await requireStill(lock, info);
          taken = { info };
        },
      );
      const { dataBytes } = await requireTaken(measuring);
      progress(dataBytes, dataBytes);
    },
    finish: async ({ signal }) => {
      const { info } = requireTaken(taken);
      const one = requireTaken(parked);
      // Writers go on: nobody waits for the last bytes to be compressed.
      const stored = await endedBy(
        signal,
        () => one.discard(),
        () => one.stream.stored,
      );
      await removeScratch(part);
      return serverImage({ shard: imageShard(storing, basis, stored), info, basis }, await requireTaken(measuring));
    },
    discard: async () => {
      await parked?.discard();
      await removeScratch(part).catch(() => undefined);
    },
  };
}
