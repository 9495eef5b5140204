import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { StillpointError } from '@stillpoint/shared/errors';
import { formatDuration } from '@stillpoint/shared/time';
import { inTheWayOfStages, openWatcher, stalledClients, waitingTools } from '../../mariadb/gate.ts';
import { accountOf, type Session } from '../../mariadb/session.ts';
import type { ImageWork } from '../storage.ts';
import { storingOf } from '../storing.ts';
import { basisOf } from './basis.ts';
import type { ServerCaptureOptions } from './server-capture.ts';
import { nameOfImage } from './server-image.ts';
import { LONGEST_STALL_MS, watchWaits } from './waits.ts';
import { type WholeImage, wholeImage } from './whole-image.ts';

/** It, and the increment of it. */
const IMAGES = 2;

/**
 * Copies the server into the part while clients write: all of it, or what has changed since the parent's image. Throws LOCK_TIMEOUT when somebody has waited
 * with it or in its way for too long, CAPTURE_FAILED, DISK_FULL, TOOL_MISSING, SERVER_DOWN, ACCESS_DENIED, or the signal's reason.
 */
export async function copyOutside(capture: ServerCaptureOptions, { note, progress, signal }: ImageWork): Promise<WholeImage> {
  const { mariadb, options, parent, part } = capture;
  const basis = await basisOf(parent, mariadb, { note, signal }, IMAGES);
  await rm(join(part, nameOfImage(storingOf(options), basis).name), { force: true });
  return whileNobodyWaits(capture, signal, (stop) => wholeImage(capture, basis, { progress, signal: stop }));
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
