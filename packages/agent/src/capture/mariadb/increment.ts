import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { StillpointError } from '@stillpoint/shared/errors';
import type { ServerLock } from '../../mariadb/lock.ts';
import { NotUsable } from '../parent.ts';
import type { ServerImage } from '../part.ts';
import { type ImageWork, NOTHING_BEFORE, requireTaken, type StorageCapture } from '../storage.ts';
import { storingOf } from '../storing.ts';
import type { BackupInfo } from './backup-info.ts';
import { requireSameServer } from './basis.ts';
import { endedBy } from './ended-by.ts';
import { type ImageStream, startImageStream } from './image-stream.ts';
import { type Measured, measure } from './measure.ts';
import { copyOutside } from './outside.ts';
import type { ServerCaptureOptions } from './server-capture.ts';
import { nameOfDelta, requireStill, serverImage } from './server-image.ts';
import { makeScratch, removeScratch, requireCompleted } from './tool-files.ts';
import type { WholeImage } from './whole-image.ts';

interface Taken {
  readonly stream: ImageStream;
  readonly info: BackupInfo;
  readonly measured: Measured;
}

/**
 * The server is copied while clients write, and under the lock mariadb-backup copies what has changed since: writers wait while it reads all of the data, and not
 * while that is compressed and stored. For servers whose mariadb-backup cannot wait at the gate.
 *
 * The copy from before stays good for further attempts: nothing is said of it but that the increment, which alone lies under the lock, begins where it ended.
 */
export function captureIncrement(capture: ServerCaptureOptions): StorageCapture<ServerImage> {
  const { mariadb, part, options } = capture;
  const storing = storingOf(options);
  const delta = nameOfDelta(storing);
  let outside: WholeImage | undefined;
  let running: { readonly life: AbortController; stream?: ImageStream } | undefined;
  let taken: Taken | undefined;

  const end = async (): Promise<void> => {
    const one = running;
    running = undefined;
    taken = undefined;
    one?.life.abort(new StillpointError('HOLD_LOST', 'The increment is not needed any more'));
    await one?.stream?.stored.catch(() => undefined);
  };
  const take = async (before: WholeImage, lock: ServerLock, { progress }: ImageWork): Promise<void> => {
    const life = new AbortController();
    const one: typeof running = { life };
    running = one;
    const { agent } = capture;
    const { signal } = life;
    const scratch = await makeScratch(part);
    await rm(join(part, delta.name), { force: true });
    const basis = { lsn: before.info.toLsn };
    const measuring = measure(mariadb, signal);
    one.stream = await startImageStream({
      ...{ agent, mariadb, part, file: delta.name, scratch, storing, basis, parallel: options.parallel, measuring, progress, signal },
    });
    await one.stream.copied;
    const info = await requireCompleted(part, basis);
    const measured = await measuring;
    requireFollows(before, { info, measured });
    await requireStill(lock, info);
    taken = { stream: one.stream, info, measured };
    progress(measured.dataBytes, measured.dataBytes);
  };

  return {
    precopy: async (work) => {
      await end();
      if (outside !== undefined && (await isOf(outside, capture, work))) return NOTHING_BEFORE;
      outside = undefined;
      outside = await copyOutside(capture, work);
      return { bytes: outside.measured.dataBytes, changedBytes: 0 };
    },
    take: async ({ lock }, work) => {
      if (lock === undefined) throw new StillpointError('HOLD_LOST', 'The hold has no lock on the server whose image is to be taken');
      const before = outside;
      if (before === undefined) throw new StillpointError('HOLD_LOST', 'The server was not copied before the lock was taken');
      await end();
      await endedBy(work.signal, end, () => take(before, lock, work));
    },
    finish: async ({ signal }) => {
      const { stream, info, measured } = requireTaken(taken);
      const { shard: base, basis } = requireTaken(outside);
      // Writers go on: nobody waits for the last bytes to be compressed.
      const { bytes: storedBytes, sha256 } = await endedBy(signal, end, () => stream.stored);
      await removeScratch(part);
      const shard = { ...delta, content: 'mariadb-incremental', storedBytes, sha256 } as const;
      return serverImage({ shard, base, info, basis }, measured);
    },
    discard: async () => {
      await end();
      await removeScratch(part).catch(() => undefined);
    },
  };
}

/** Whether the server is still the one that was copied. Throws SERVER_DOWN, ACCESS_DENIED or the signal's reason. */
async function isOf({ info, measured }: WholeImage, { mariadb }: ServerCaptureOptions, { note, signal }: ImageWork): Promise<boolean> {
  const { incarnation, settings } = measured;
  const known = { version: settings.version, datadir: settings.datadir, incarnation, lastLsn: info.lastLsn };
  try {
    await requireSameServer(known, 'the copy from before', mariadb, signal);
    return true;
  } catch (error) {
    if (!(error instanceof NotUsable)) throw error;
    note(`the server is copied again: ${error.message}`);
    return false;
  }
}

/** mariadb-backup compares log sequence numbers when it applies an increment, and nothing else. Throws CAPTURE_MOVED. */
function requireFollows(before: WholeImage, { info, measured }: Omit<Taken, 'stream'>): void {
  const isSame = before.measured.incarnation === measured.incarnation && before.measured.settings.version === measured.settings.version;
  if (isSame && BigInt(info.lastLsn) >= BigInt(before.info.lastLsn)) return;
  throw new StillpointError('CAPTURE_MOVED', 'The server is not the one any more that was copied before the lock');
}
