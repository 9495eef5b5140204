import { realpath, stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { StillpointError } from '@stillpoint/shared/errors';
import type { PartDbroot, Shard } from '@stillpoint/shared/manifest';
import { mountPointsBelow } from '../../host/index.ts';
import { namedList, namedShard } from './packing/names.ts';
import { type PackedDbroot, packDbroot } from './packing/pack.ts';
import { restlessFiles } from './rules.ts';
import { scanDbroot } from './scan.ts';
import { keepScan, requireUnmoved, type ScanTotals } from './scan-file.ts';

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
  /** What has been found, once it is known. */
  readonly onFound: (totals: ScanTotals) => void;
  /** Bytes of files that were read, as they come. */
  readonly onBytes: (bytes: number) => void;
  /** Gets a sentence for whatever is left out. */
  readonly note: (message: string) => void;
  readonly signal: AbortSignal;
}

/** A dbroot in a part. */
export interface CapturedDbroot {
  readonly dbroot: PartDbroot;
  /** Its archives, and its list. */
  readonly shards: readonly Shard[];
}

/**
 * Captures everything in a dbroot, for as long as the engine is suspended. That nothing in it has moved meanwhile is part of it: every
 * stamp is compared once all is read.
 *
 * Throws CAPTURE_MOVED and CAPTURE_FAILED naming the file, DISK_FULL, or the signal's reason. Whatever lies in the part then is the caller's to
 * remove.
 */
export async function captureDbroot(capture: DbrootCapture): Promise<CapturedDbroot> {
  const { number, path, part, signal, note } = capture;
  const root = await requireDirectory(path);
  const scan = await keepScan(join(part, `.dbroot${number}.scan`), scanDbroot({ root, note, signal }));
  capture.onFound(scan.totals);
  const restless = restlessFiles(capture.brmDirectory);
  const { shards, level, recipients, onBytes } = capture;
  const packed = await packDbroot({
    ...{ number, root, isCopy: false, entries: scan, restless, part, shards, level, recipients, onBytes, signal },
    onceRead: (within) =>
      requireUnmoved(scan.all(), scanDbroot({ root, note: () => {}, signal: within }), restless, (name) => join(path, name)),
  });
  await scan.remove();
  return describeDbroot(capture, scan.totals, packed);
}

/** Throws CAPTURE_FAILED unless it is a directory, with nothing mounted below: that would be another's file system. */
async function requireDirectory(path: string): Promise<string> {
  const root = await realpath(path).catch((error: unknown) => {
    throw new StillpointError('CAPTURE_FAILED', `The dbroot ${path} cannot be read: ${(error as Error).message}`, { cause: error });
  });
  if (!(await stat(root)).isDirectory()) throw new StillpointError('CAPTURE_FAILED', `The dbroot ${path} is not a directory`);
  const [mounted] = await mountPointsBelow(root);
  if (mounted === undefined) return root;
  throw new StillpointError('CAPTURE_FAILED', `${mounted}, below the dbroot ${path}, is another file system`, {
    hint: 'A dbroot is captured and restored as one directory. Unmount what is mounted in it.',
  });
}

/** What part.json says of a dbroot that was packed, and of its files in the part. The totals are what its scan has counted. Pure. */
function describeDbroot(
  { number, path, recipients }: Pick<DbrootCapture, 'number' | 'path' | 'recipients'>,
  { files, directories }: ScanTotals,
  { archives, list, dataBytes }: PackedDbroot,
): CapturedDbroot {
  const named = archives.map(
    ({ bytes: storedBytes, sha256 }, index): Shard => ({
      ...namedShard({ number, recipients }, index),
      content: 'dbroot',
      storedBytes,
      sha256,
    }),
  );
  const listed: Shard = {
    ...namedList({ number, recipients }),
    content: 'dbroot-files',
    storedBytes: list.bytes,
    sha256: list.sha256,
  };
  const shards = named.map(({ name }) => name);
  // Of the bytes that were read: a file that may be written meanwhile counts as it was then.
  return { dbroot: { number, path, files, directories, dataBytes, shards, list: listed.name }, shards: [...named, listed] };
}
