import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { CapturedDbroot } from './described.ts';
import { packImage } from './image.ts';
import type { Increment } from './increment/increment.ts';
import { requireDirectory } from './root.ts';
import { restlessFiles } from './rules.ts';
import { keepScan } from './scan-file.ts';
import type { Found } from './scanning/orders.ts';
import { type ScanThreads, scansOf } from './scanning/scan-threads.ts';
import { requireUnmovedSince } from './scanning/unmoved.ts';

/** Shards that are written at the same time on a node: as many as there are threads to compress. More only take memory. */
const MOST_SHARDS = 4;

/** How many shards to make of each of several dbroots that are captured at the same time. */
export const shardsOfEach = (dbroots: number): number =>
  Math.max(1, Math.min(availableParallelism(), Math.floor(MOST_SHARDS / Math.max(1, dbroots))));

/** Which dbroot to capture, and how. */
export interface DbrootCapture {
  readonly number: number;
  /** As Columnstore.xml has it: it may be a link. */
  readonly path: string;
  /** Place of the block resolution manager within the dbroot, relative; undefined when it is not there. */
  readonly brmDirectory: string | undefined;
  /** Directory of the part. */
  readonly part: string;
  /** How many shards are written at the same time. */
  readonly shards: number;
  /** zstd level; 0 stores without compressing. */
  readonly level: number;
  /** Public keys that everything is encrypted for; none leaves it as it is. */
  readonly recipients: readonly string[];
  /** What is stored already; undefined stores all of it. */
  readonly increment?: Increment | undefined;
  /** Threads that look at it; undefined starts some. They have ended afterwards. */
  readonly scans?: ScanThreads | undefined;
  /** What has been found, once it is known. */
  readonly onFound: (found: Found) => void;
  /** Bytes of files that were read, as they come. */
  readonly onBytes: (bytes: number) => void;
  /** Gets a sentence for whatever is left out. */
  readonly note: (message: string) => void;
  readonly signal: AbortSignal;
}

/**
 * Captures everything in a dbroot, for as long as the engine is suspended. That nothing in it has moved meanwhile is part of it: every
 * stamp is compared once all is read.
 *
 * Throws CAPTURE_MOVED and CAPTURE_FAILED naming the file, DISK_FULL, or the signal's reason. Whatever lies in the part then is the caller's to
 * remove.
 */
export async function captureDbroot(capture: DbrootCapture): Promise<CapturedDbroot> {
  const { brmDirectory, increment, level, note, number, onBytes, part, path, recipients, shards, signal } = capture;
  const root = await requireDirectory(path);
  const scans = capture.scans ?? scansOf({ brmDirectory, part, root, threads: shards });
  const restless = restlessFiles(brmDirectory);
  try {
    const lookedAtMs = Date.now();
    const scan = await keepScan(join(part, `.dbroot${number}.scan`), scans, { isAlive: false, note, signal });
    // Those that pack look again: more threads would only take memory.
    void scans.end();
    capture.onFound(scan.found);
    const image = await packImage({
      ...{ number, path, root, isCopy: false, scan, lookedAtMs, increment, restless, part, shards, level, recipients, onBytes, signal },
      onceRead: (again, within) => requireUnmovedSince(scan.found, again, path, within, { all: scan.all, restless }),
    });
    await scan.remove();
    return image;
  } finally {
    await scans.end();
  }
}
