import type { Shard } from '@stillpoint/shared/manifest';
import type { ImageWork } from '../storage.ts';
import { storingOf } from '../storing.ts';
import type { BackupInfo } from './backup-info.ts';
import type { Basis } from './basis.ts';
import { startImageStream } from './image-stream.ts';
import { type Measured, measure } from './measure.ts';
import type { ServerCaptureOptions } from './server-capture.ts';
import { imageShard, nameOfImage } from './server-image.ts';
import { makeScratch, removeScratch, requireCompleted } from './tool-files.ts';

/** An image that was made and stored in one go. */
export interface WholeImage {
  readonly shard: Shard;
  /** What it is an increment of; undefined for a full one. */
  readonly basis: Basis | undefined;
  readonly info: BackupInfo;
  readonly measured: Measured;
}

/**
 * Has mariadb-backup make an image from its beginning to its end, and stores it in the part. Throws CAPTURE_FAILED (with the last lines of the tool), DISK_FULL,
 * TOOL_MISSING, SERVER_DOWN, ACCESS_DENIED, or the signal's reason.
 */
export async function wholeImage(
  { agent, mariadb, options, part }: ServerCaptureOptions,
  basis: Basis | undefined,
  { progress, signal }: Pick<ImageWork, 'progress' | 'signal'>,
): Promise<WholeImage> {
  const storing = storingOf(options);
  const file = nameOfImage(storing, basis).name;
  const scratch = await makeScratch(part);
  const measuring = measure(mariadb, signal);
  const { parallel } = options;
  const stream = await startImageStream({ agent, mariadb, part, file, scratch, storing, basis, parallel, measuring, progress, signal });
  const stored = await stream.stored;
  const info = await requireCompleted(part, basis);
  await removeScratch(part);
  return { shard: imageShard(storing, basis, stored), basis, info, measured: await measuring };
}
