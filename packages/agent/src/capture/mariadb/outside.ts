import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { StillpointError } from '@stillpoint/shared/errors';
import type { Shard } from '@stillpoint/shared/manifest';
import { formatDuration } from '@stillpoint/shared/time';
import { inTheWayOfStages, openWatcher, stalledClients, waitingTools } from '../../mariadb/gate.ts';
import { accountOf, type Session } from '../../mariadb/session.ts';
import type { ImageWork } from '../storage.ts';
import { storingOf } from '../storing.ts';
import type { BackupInfo } from './backup-info.ts';
import { type Basis, basisOf } from './basis.ts';
import { startImageStream } from './image-stream.ts';
import { type Measured, measure } from './measure.ts';
import type { ServerCaptureOptions } from './server-capture.ts';
import { imageShard, nameOfImage } from './server-image.ts';
import { makeScratch, removeScratch, requireCompleted } from './tool-files.ts';
import { LONGEST_STALL_MS, watchWaits } from './waits.ts';

/** A copy of a server that was made while clients wrote, as of its own end. */
export interface OutsideImage {
  readonly shard: Shard;
  /** What it is an increment of itself; undefined for a full one. */
  readonly basis: Basis | undefined;
  readonly info: BackupInfo;
  readonly measured: Measured;
}

/** It, and the increment of it. */
const IMAGES = 2;

/**
 * Copies the server into the part while clients write: all of it, or what has changed since the parent's image. Throws LOCK_TIMEOUT when somebody has waited
 * with it or in its way for too long, CAPTURE_FAILED, DISK_FULL, TOOL_MISSING, SERVER_DOWN, ACCESS_DENIED, or the signal's reason.
 */
export async function copyOutside(capture: ServerCaptureOptions, { note, progress, signal }: ImageWork): Promise<OutsideImage> {
  const { agent, mariadb, options, parent, part } = capture;
  const { parallel } = options;
  const storing = storingOf(options);
  const basis = await basisOf(parent, mariadb, { note, signal }, IMAGES);
  const file = nameOfImage(storing, basis).name;
  await rm(join(part, file), { force: true });
  const scratch = await makeScratch(part);
  return whileNobodyWaits(capture, signal, async (stop) => {
    const measuring = measure(mariadb, stop);
    const stream = await startImageStream({
      ...{ agent, mariadb, part, file, scratch, storing, basis, parallel, measuring, progress },
      signal: stop,
    });
    const stored = await stream.stored;
    const info = await requireCompleted(part, basis);
    await removeScratch(part);
    return { shard: imageShard(storing, basis, stored), basis, info, measured: await measuring };
  });
}

/**
 * mariadb-backup goes through its stages by itself here: older ones keep every commit waiting while they copy tables that are not InnoDB, and all of them wait for
 * whoever keeps them from a stage, without any bound.
 */
async function whileNobodyWaits<T>(
  { agent: { clock }, mariadb }: ServerCaptureOptions,
  signal: AbortSignal,
  work: (stop: AbortSignal) => Promise<T>,
): Promise<T> {
  const watcher = await openWatcher(accountOf(mariadb), clock, signal);
  const late = new AbortController();
  const over = new AbortController();
  const watch = { clock, signal: over.signal };
  void watchWaits({ ...watch, waiting: () => stalledClients(watcher), onTooLong: () => late.abort(tooLongWithIt()) });
  void watchWaits({
    ...watch,
    waiting: () => waitingTools(watcher),
    onTooLong: () => void tooLongInItsWay(watcher).then((error) => late.abort(error)),
  });
  try {
    return await work(AbortSignal.any([signal, late.signal]));
  } finally {
    over.abort();
    await watcher.close();
  }
}

const tooLongWithIt = (): StillpointError =>
  new StillpointError(
    'LOCK_TIMEOUT',
    `A client had to wait for ${formatDuration(LONGEST_STALL_MS)} for mariadb-backup, which copies the server before the lock: it was given up`,
    { hint: 'Tables that are not InnoDB are copied while writers wait. With `--capture locked` they are copied once, and not twice.' },
  );

async function tooLongInItsWay(watcher: Session): Promise<StillpointError> {
  const blockers = await inTheWayOfStages(watcher).catch(() => []);
  const late = `mariadb-backup was kept waiting for the server for ${formatDuration(LONGEST_STALL_MS)}`;
  return new StillpointError('LOCK_TIMEOUT', late, { blockers });
}
