import { StillpointError } from '@stillpoint/shared/errors';
import type { ServerImage } from '../part.ts';
import { type StorageCapture, takenWhole } from '../storage.ts';
import { basisOf } from './basis.ts';
import type { ServerCaptureOptions } from './server-capture.ts';
import { requireStill, serverImage } from './server-image.ts';
import { wholeImage } from './whole-image.ts';

/**
 * The whole image under the lock: writers wait for all of it. Of the strategies the simplest and the longest.
 *
 * `take` throws CAPTURE_FAILED (with the last lines of the tool), DISK_FULL, CAPTURE_MOVED, HOLD_LOST, ATTEST_FAILED,
 * TOOL_MISSING, or the signal's reason. Whatever lies in the part then is the caller's to remove.
 */
export const captureLocked = (capture: ServerCaptureOptions): StorageCapture<ServerImage> =>
  takenWhole(async ({ lock }, work) => {
    if (lock === undefined) throw new StillpointError('HOLD_LOST', 'The hold has no lock on the server whose image is to be taken');
    const basis = await basisOf(capture.parent, capture.mariadb, work);
    const { measured, ...image } = await wholeImage(capture, basis, work);
    await requireStill(lock, image.info);
    work.progress(measured.dataBytes, measured.dataBytes);
    return serverImage(image, measured);
  });
