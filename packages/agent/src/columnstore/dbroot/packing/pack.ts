import { join } from 'node:path';
import { encodeEntry } from '@stillpoint/shared/manifest';
import { type StoredFile, writeLines } from '../../../archive/index.ts';
import { fileKeyFor } from '../../../encryption/index.ts';
import { together } from '../../../task/together.ts';
import { Channel } from '../channel.ts';
import type { ScannedEntry } from '../entry.ts';
import { type NamedEntry, nameOwners, plainLineOf } from '../named.ts';
import { createOwners, type Owners } from '../owners.ts';
import { type Scans, scanOn } from '../scanning/scans.ts';
import { type Unit, unitsOf } from '../units.ts';
import { namedList, namedShard } from './names.ts';
import { PackThread } from './pack-thread.ts';

/** Parts of the list that wait to be written; each is of the files of one frame at most. */
const LINES_AHEAD = 32;
/** Directories and links handed to a thread at once. */
const PLAIN_TOGETHER = 512;

/** What to pack, and into what. */
export interface DbrootPacking {
  /** Of the dbroot: it names the files of the part. */
  readonly number: number;
  /** Directory in which the entries lie, with no link on the way to it. */
  readonly root: string;
  /**
   * True when `root` holds copies, made while nothing moved: their stamps are their own, and only their sizes are compared. Otherwise a file
   * whose stamp is not that of its entry has moved.
   */
  readonly isCopy: boolean;
  /** What to pack, each time from the beginning: all of it in the order of a scan, and directories and links alone. */
  readonly entries: { all(): AsyncIterable<ScannedEntry>; plain(): AsyncIterable<ScannedEntry> };
  /** Files whose size is not known before they are read; unless `root` holds copies, they may even be written meanwhile. See rules.ts. */
  readonly restless: ReadonlySet<string>;
  /** Directory of the part. */
  readonly part: string;
  /** How many shards are written at the same time, each on a thread of its own. */
  readonly shards: number;
  /** zstd level; 0 stores without compressing. */
  readonly level: number;
  /** Public keys that everything is encrypted for; none leaves it as it is. */
  readonly recipients: readonly string[];
  /** Bytes of files that were read, as they come. */
  readonly onBytes: (bytes: number) => void;
  /** Lines of the list for files that are not packed, as their bytes lie in parts of other sets. */
  readonly alsoListed?: (() => AsyncIterable<Uint8Array>) | undefined;
  /** Done once all files are read, while the shards are ended. The threads that pack have time to look at what they have packed. */
  readonly onceRead?: (scans: Scans, signal: AbortSignal) => Promise<void>;
  readonly signal: AbortSignal;
}

/** What was written. */
export interface PackedDbroot {
  /** One for each shard, in order. */
  readonly archives: readonly StoredFile[];
  readonly list: StoredFile;
  /** Of the files, as they were read. */
  readonly dataBytes: number;
}

/**
 * Writes shards and list of a dbroot into a part. Everything that takes time is done on threads, which are started here and have ended when this
 * returns or throws.
 *
 * Throws CAPTURE_MOVED and CAPTURE_FAILED naming the file, also when a thread dies, DISK_FULL, what `entries` or `onceRead` throw, or the
 * signal's reason. Whatever lies in the part then is the caller's to remove.
 */
export async function packDbroot(packing: DbrootPacking): Promise<PackedDbroot> {
  const { part, level, recipients, signal } = packing;
  const lines = new Channel<Uint8Array>(LINES_AHEAD);
  const owners = createOwners();
  let dataBytes = 0;
  const counting = (bytes: number): void => {
    dataBytes += bytes;
    packing.onBytes(bytes);
  };
  const [archives, list] = await together<[StoredFile[], StoredFile]>(signal, [
    (within) => packShards({ ...packing, onBytes: counting, signal: within }, owners, lines),
    async (within) => {
      within.throwIfAborted();
      within.addEventListener('abort', () => lines.end(within.reason), { once: true });
      const { name } = namedList(packing);
      return writeLines(join(part, name), allLines(packing, owners, lines), level, await fileKeyFor(recipients));
    },
  ]);
  return { archives, list, dataBytes };
}

/** Directories and links first, so that each directory stands before what lies in it. */
async function* allLines(
  { alsoListed, entries }: DbrootPacking,
  owners: Owners,
  files: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  for await (const some of plainEntries(entries.plain(), owners))
    yield Buffer.from(some.map((entry) => encodeEntry(plainLineOf(entry))).join(''));
  yield* files;
  if (alsoListed !== undefined) yield* alsoListed();
}

async function* plainEntries(entries: AsyncIterable<ScannedEntry>, owners: Owners): AsyncGenerator<NamedEntry[]> {
  let some: NamedEntry[] = [];
  for await (const entry of entries) {
    some.push(await nameOwners(owners, entry));
    if (some.length < PLAIN_TOGETHER) continue;
    yield some;
    some = [];
  }
  if (some.length > 0) yield some;
}

async function packShards(packing: DbrootPacking, owners: Owners, lines: Channel<Uint8Array>): Promise<StoredFile[]> {
  const { root, isCopy, restless, part, shards, level, recipients, onBytes, signal } = packing;
  const keys = await Promise.all(Array.from({ length: shards }, () => fileKeyFor(recipients)));
  signal.throwIfAborted();
  const units = unitsOf(packing.entries.all(), restless);
  const threads = keys.map((key, index) => {
    const path = join(part, namedShard(packing, index).name);
    return new PackThread({ path, index, level, key, root, isCopy, restless }, onBytes);
  });
  const endAll = (reason?: unknown): Promise<unknown> => Promise.all(threads.map((thread) => thread.end(reason)));
  const onAbort = (): void => void endAll(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    await together(
      signal,
      threads.map((thread) => (within: AbortSignal) => feed(thread, units, owners, lines, within)),
    );
    lines.end();
    const [ended] = await together<[StoredFile[], unknown]>(signal, [
      () => finishAll(threads, packing, owners),
      async (within) => packing.onceRead?.({ scan: (use) => scanOn(threads, use) }, within),
    ]);
    return ended;
  } finally {
    signal.removeEventListener('abort', onAbort);
    await endAll();
    await units.return(undefined);
  }
}

/** Hands units to a thread until none is left. One of small files waits in it while it is at another; behind a large file nothing must wait. */
async function feed(
  thread: PackThread,
  units: AsyncGenerator<Unit>,
  owners: Owners,
  lines: Channel<Uint8Array>,
  signal: AbortSignal,
): Promise<void> {
  const onAbort = (): void => void thread.end(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  let before: Promise<void> = Promise.resolve();
  try {
    for await (const unit of sharing(units)) {
      signal.throwIfAborted();
      const order = await orderOf(unit, owners);
      const packed = thread.add(order).then((some) => lines.put(some));
      packed.catch(() => undefined);
      await before;
      if (order.kind === 'alone') await packed;
      before = packed;
    }
    await before;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** The same units for several: each gets the next one that nobody has. */
async function* sharing(units: AsyncGenerator<Unit>): AsyncGenerator<Unit> {
  for (;;) {
    const next = await units.next();
    if (next.done) return;
    yield next.value;
  }
}

const orderOf = async (unit: Unit, owners: Owners) =>
  unit.kind === 'alone'
    ? ({ kind: 'alone', file: await nameOwners(owners, unit.file) } as const)
    : ({ kind: 'together', files: await Promise.all(unit.files.map((file) => nameOwners(owners, file))) } as const);

/** The last shard gets directories and links: unpacked last, their times are not changed by what is put into them. */
async function finishAll(threads: readonly PackThread[], { entries }: DbrootPacking, owners: Owners): Promise<StoredFile[]> {
  const last = threads.at(-1);
  const plain = async (): Promise<void> => {
    for await (const some of plainEntries(entries.plain(), owners)) await last?.addPlain(some);
  };
  return Promise.all(
    threads.map(async (thread) => {
      if (thread === last) await plain();
      return thread.finish();
    }),
  );
}
