import { StillpointError } from '@stillpoint/shared/errors';
import type { ServerImage } from '../part.ts';
import { type StorageCapture, takenWhole } from '../storage.ts';
import { storingOf } from '../storing.ts';
import { basisOf } from './basis.ts';
import { startImageStream } from './image-stream.ts';
import { measure } from './measure.ts';
import type { ServerCaptureOptions } from './server-capture.ts';
import { imageShard, nameOfImage, requireStill, serverImage } from './server-image.ts';
import { makeScratch, removeScratch, requireCompleted } from './tool-files.ts';

/**
 * The whole image under the lock: writers wait for all of it. Of the strategies the simplest and the longest.
 *
 * `take` throws CAPTURE_FAILED (with the last lines of the tool), DISK_FULL, CAPTURE_MOVED, HOLD_LOST, ATTEST_FAILED,
 * TOOL_MISSING, or the signal's reason. Whatever lies in the part then is the caller's to remove.
 */
export const captureLocked = ({ agent, mariadb, part, parent, options }: ServerCaptureOptions): StorageCapture<ServerImage> =>
  takenWhole(async ({ lock }, { note, progress, signal }) => {
    if (lock === undefined) throw new StillpointError('HOLD_LOST', 'The hold has no lock on the server whose image is to be taken');
    const storing = storingOf(options);
    const scratch = await makeScratch(part);
    const basis = await basisOf(parent, mariadb, { note, signal });
    const measuring = measure(mariadb, signal);
    const { parallel } = options;
    const file = nameOfImage(storing, basis).name;
    const stream = await startImageStream({ agent, mariadb, part, file, scratch, storing, basis, parallel, measuring, progress, signal });
    const stored = await stream.stored;
    const info = await requireCompleted(part, basis);
    await requireStill(lock, info);
    const measured = await measuring;
    progress(measured.dataBytes, measured.dataBytes);
    await removeScratch(part);
    return serverImage({ shard: imageShard(storing, basis, stored), info, basis }, measured);
  });
