import { realpath, stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { StillpointError } from '@stillpoint/shared/errors';
import { LAYOUT, type ListedEntry, type PartDbroot, type Shard } from '@stillpoint/shared/manifest';
import { ArchiveWriter, type StoredFile, writeList } from '../../archive/index.ts';
import { mountPointsBelow } from '../../host/index.ts';
import { together } from '../../task/together.ts';
import { Channel } from './channel.ts';
import { createOwners } from './owners.ts';
import { restlessFiles } from './rules.ts';
import { scanDbroot } from './scan.ts';
import { type KeptScan, keepScan, requireUnmoved, type ScanTotals } from './scan-file.ts';
import { headerOf, plainLineOf, type ShardSource, storeUnit } from './shard.ts';
import { type Unit, unitsOf } from './units.ts';

/** Lines of the list that wait to be written. */
const LINES_AHEAD = 1024;

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
  /** zstd level. */
  readonly level: number;
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
  // Not that of the scan: a file that may be written meanwhile counts as it was when it was read.
  let dataBytes = 0;
  const source = {
    root,
    restless: restlessFiles(capture.brmDirectory),
    owners: createOwners(),
    onBytes: (bytes: number) => {
      dataBytes += bytes;
      capture.onBytes(bytes);
    },
  };
  const stored = await storeAll(capture, source, scan);
  await scan.remove();
  return describe(capture, { ...scan.totals, bytes: dataBytes }, stored);
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

type Named = Pick<ShardSource, 'owners'>;

interface Stored {
  readonly archives: readonly StoredFile[];
  readonly list: StoredFile;
}

/** All shards and the list at the same time; then, while the archives are ended, a look at whether all is as it was. */
async function storeAll(capture: DbrootCapture, source: Omit<ShardSource, 'signal'>, scan: KeptScan): Promise<Stored> {
  const { number, part, level } = capture;
  const lines = new Channel<ListedEntry>(LINES_AHEAD);
  const [archives, list] = await together<[StoredFile[], StoredFile]>(capture.signal, [
    async (signal) => {
      const writers = await storeFiles(capture, { ...source, signal }, scan, lines);
      const works = [() => endAll(writers, source, scan), (within: AbortSignal) => requireStill(capture, source, scan, within)] as const;
      try {
        const [ended] = await together<[StoredFile[], unknown]>(signal, works);
        return ended;
      } finally {
        await closeAll(writers);
      }
    },
    async (signal) => {
      signal.throwIfAborted();
      signal.addEventListener('abort', () => lines.end(signal.reason), { once: true });
      return writeList(join(part, LAYOUT.dbrootFiles(number)), allLines(source, scan, lines), level);
    },
  ]);
  return { archives, list };
}

/** Puts all files into shards, in as many as are to be written at the same time. Gives those, to be ended. */
async function storeFiles(
  { number, part, shards, level }: DbrootCapture,
  source: ShardSource,
  scan: KeptScan,
  lines: Channel<ListedEntry>,
): Promise<ArchiveWriter[]> {
  const units = unitsOf(scan.all(), source.restless);
  const writers: ArchiveWriter[] = [];
  try {
    for (let index = 0; index < shards; index += 1)
      writers.push(await ArchiveWriter.create(join(part, LAYOUT.dbroot(number, index)), level));
    const works = writers.map((writer, index) => async (signal: AbortSignal): Promise<void> => {
      for await (const unit of sharing(units)) {
        signal.throwIfAborted();
        for (const line of await storeUnit({ ...source, signal }, unit, index, writer)) await lines.put(line);
      }
    });
    await together(source.signal, works);
    lines.end();
    return writers;
  } catch (error) {
    await closeAll(writers);
    throw error;
  } finally {
    await units.return(undefined);
  }
}

const closeAll = async (writers: readonly ArchiveWriter[]): Promise<void> => {
  await Promise.all(writers.map((writer) => writer.close()));
};

/** The same units for several: each gets the next one that nobody has. */
async function* sharing(units: AsyncGenerator<Unit>): AsyncGenerator<Unit> {
  for (;;) {
    const next = await units.next();
    if (next.done) return;
    yield next.value;
  }
}

/** Directories and links first, so that each directory stands before what lies in it. */
async function* allLines(source: Named, scan: KeptScan, files: AsyncIterable<ListedEntry>): AsyncGenerator<ListedEntry> {
  for await (const entry of scan.plain()) yield plainLineOf(source, entry);
  yield* files;
}

/** The last archive gets directories and links: unpacked last, their times are not changed by what is put into them. */
const endAll = (writers: readonly ArchiveWriter[], source: Named, scan: KeptScan): Promise<StoredFile[]> =>
  Promise.all(
    writers.map((writer, index) =>
      writer.end(
        (async function* () {
          if (index !== writers.length - 1) return;
          for await (const entry of scan.plain()) yield headerOf(source, entry);
        })(),
      ),
    ),
  );

const requireStill = (
  { path }: DbrootCapture,
  { root, restless }: Pick<ShardSource, 'root' | 'restless'>,
  scan: KeptScan,
  signal: AbortSignal,
): Promise<void> => requireUnmoved(scan.all(), scanDbroot({ root, note: () => {}, signal }), restless, (name) => join(path, name));

function describe({ number, path }: DbrootCapture, { files, directories, bytes }: ScanTotals, { archives, list }: Stored): CapturedDbroot {
  const named = archives.map(
    ({ bytes: storedBytes, sha256 }, index): Shard => ({
      name: LAYOUT.dbroot(number, index),
      content: 'dbroot',
      encoding: 'tar+zstd',
      storedBytes,
      sha256,
    }),
  );
  const listed: Shard = {
    name: LAYOUT.dbrootFiles(number),
    content: 'dbroot-files',
    encoding: 'jsonl+zstd',
    storedBytes: list.bytes,
    sha256: list.sha256,
  };
  const shards = named.map(({ name }) => name);
  return { dbroot: { number, path, files, directories, dataBytes: bytes, shards, list: listed.name }, shards: [...named, listed] };
}
