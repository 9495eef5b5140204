import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { StillpointError } from '@stillpoint/shared/errors';
import { encodeEntry } from '@stillpoint/shared/manifest';
import { type StoredFile, writeLines } from '../../../archive/index.ts';
import { fileKeyFor } from '../../../encryption/index.ts';
import { readBootId } from '../../../host/index.ts';
import { type CapturedDbroot, describeDbroot } from '../described.ts';
import type { ParentDbroot } from '../increment/parent-dbroot.ts';
import { entryOfLine } from '../line.ts';
import { LinesFile } from '../lines-file.ts';
import { type NamedEntry, nameOwners, plainLineOf } from '../named.ts';
import { createOwners, type Owners } from '../owners.ts';
import { namedDelta, namedList } from '../packing/names.ts';
import type { Found, TakenFile } from '../scanning/orders.ts';
import { type BorrowedLines, borrowedLines, isBorrowed } from './borrowed-lines.ts';
import { compose } from './compose.ts';
import type { StoredShard } from './dbroot-precopy.ts';
import { FillThread } from './fill-thread.ts';
import type { FilledFile, TakenPlace } from './orders.ts';
import type { StoredFiles } from './stored-files.ts';

/** Of what an image is made. */
export interface ImageToComplete {
  readonly number: number;
  readonly path: string;
  readonly root: string;
  readonly part: string;
  readonly level: number;
  readonly recipients: readonly string[];
  /** What was there inside the still point. */
  readonly found: Found;
  /** What was taken there. */
  readonly files: readonly TakenFile[];
  /** Directories and links. */
  readonly plain: LinesFile;
  /** Shards that were written before. */
  readonly base: readonly StoredShard[];
  readonly stored: StoredFiles;
  /** Whose files some of them are. */
  readonly parent?: ParentDbroot | undefined;
  /** The look inside the still point. */
  readonly seen: number;
  /** When that began. */
  readonly lookedAtMs: number;
  /** Beginning of the names of files that are removed again. */
  readonly scratch: string;
  readonly onBytes: (bytes: number) => void;
  readonly signal: AbortSignal;
}

/** Files of a frame and their bytes, at most; as units.ts has it. */
const MOST_FILES = 256;
const FRAME_BYTES = 1024 * 1024;
const PLAIN_TOGETHER = 512;

/**
 * Packs what was taken into a last shard, with directories and links behind it, and writes the list: of every file, where its bytes at the cut
 * lie. Throws CAPTURE_FAILED, DISK_FULL, the system's error or the signal's reason; what lies in the part then is the caller's to remove.
 */
export async function completeImage(image: ImageToComplete): Promise<CapturedDbroot> {
  const { base, files, level, part, recipients, scratch, stored } = image;
  for (const { entry } of files) stored.forget(entry.path);
  const owners = createOwners();
  const lines = await LinesFile.create(`${scratch}.delta`);
  try {
    const delta = await packDelta(image, owners, lines);
    const archives = [...base, { ...namedDelta(image), ...delta }];
    const borrowed = borrowedLines(image.parent, stored, image.seen, archives.length);
    const totals = { files: 0, bytes: 0 };
    const list = await writeLines(
      join(part, namedList(image).name),
      allLines(image, borrowed, owners, lines, totals),
      level,
      await fileKeyFor(recipients),
    );
    requireAll(image, totals.files);
    for (const file of new Set(files.map((taken) => taken.file))) await rm(file, { force: true });
    const { number, path, found } = image;
    const counted = { files: totals.files, directories: found.directories, dataBytes: totals.bytes - (borrowed.of?.dataBytes ?? 0) };
    const when = { lookedAtMs: image.lookedAtMs, bootId: await readBootId() };
    return describeDbroot({ number, path, recipients, ...counted, ...when, archives, list, superseded: true, borrowed: borrowed.of });
  } finally {
    await lines.remove();
  }
}

/** Every file that was there is in the list, once. */
function requireAll({ found, path }: ImageToComplete, listed: number): void {
  if (listed === found.files) return;
  throw new StillpointError('CAPTURE_FAILED', `The list of the dbroot ${path} has ${listed} files, and ${found.files} were there`, {
    hint: 'Start the backup again; with `--capture locked` if it happens twice. Please report it.',
  });
}

async function packDelta(image: ImageToComplete, owners: Owners, lines: LinesFile): Promise<StoredFile> {
  const { base, level, onBytes, part, plain, recipients, root, signal } = image;
  signal.throwIfAborted();
  const key = await fileKeyFor(recipients);
  const shard = { path: join(part, namedDelta(image).name), index: base.length, level, key, root };
  const thread = new FillThread(shard, onBytes);
  const onAbort = (): void => void thread.end(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    for await (const packed of packTaken(image, owners, thread)) await lines.add(packed.map(({ line }) => line ?? '').join(''));
    await lines.flush();
    for await (const entries of namedPlain(plain, owners)) await thread.addPlain(entries);
    return await thread.finish();
  } finally {
    signal.removeEventListener('abort', onAbort);
    await thread.end();
  }
}

async function* packTaken(image: ImageToComplete, owners: Owners, thread: FillThread): AsyncGenerator<readonly FilledFile[]> {
  let together: TakenPlace[] = [];
  let bytes = 0;
  for (const taken of image.files) {
    image.signal.throwIfAborted();
    if (taken.entry.size >= FRAME_BYTES) {
      yield await packAlone(image, taken, owners, thread);
      continue;
    }
    together.push(await placeOf(taken, owners));
    bytes += taken.entry.size;
    if (bytes < FRAME_BYTES && together.length < MOST_FILES) continue;
    yield await thread.add({ kind: 'taken-together', files: together });
    together = [];
    bytes = 0;
  }
  if (together.length > 0) yield await thread.add({ kind: 'taken-together', files: together });
}

async function packAlone(image: ImageToComplete, taken: TakenFile, owners: Owners, thread: FillThread): Promise<readonly FilledFile[]> {
  if (taken.blocks === undefined) return thread.add({ kind: 'taken-alone', file: await placeOf(taken, owners) });
  const basis = image.stored.basisOf(taken.entry.path);
  if (basis === undefined) throw new Error(`${taken.entry.path} was taken by blocks, and the others lie nowhere`);
  const into = `${image.scratch}.composed`;
  try {
    const whole = await compose(taken, basis, into, image.signal);
    return await thread.add({ kind: 'taken-alone', file: await placeOf(whole, owners) });
  } finally {
    await rm(into, { force: true });
  }
}

const placeOf = async ({ entry, file, at }: TakenFile, owners: Owners): Promise<TakenPlace> => ({
  entry: await nameOwners(owners, entry),
  file,
  at,
});

/** Directories and links first, so that each directory stands before what lies in it. */
async function* allLines(
  { plain, seen, stored }: ImageToComplete,
  borrowed: BorrowedLines,
  owners: Owners,
  delta: LinesFile,
  totals: { files: number; bytes: number },
): AsyncGenerator<Uint8Array> {
  for await (const entries of namedPlain(plain, owners))
    yield Buffer.from(entries.map((entry) => encodeEntry(plainLineOf(entry))).join(''));
  for await (const some of together(known(stored.good(seen), borrowed), totals)) yield some;
  for await (const some of together(taken(delta), totals)) yield some;
}

async function* known(
  good: ReturnType<StoredFiles['good']>,
  borrowed: BorrowedLines,
): AsyncGenerator<{ readonly line: string; readonly bytes: number }> {
  for await (const { file, line } of good) yield { line: `${isBorrowed(file) ? borrowed.line(file) : line}\n`, bytes: file.size };
}

async function* taken(delta: LinesFile): AsyncGenerator<{ readonly line: string; readonly bytes: number }> {
  for await (const line of delta.lines()) yield { line: `${line}\n`, bytes: (JSON.parse(line) as { readonly size: number }).size };
}

/** Many at once, and counted. */
async function* together(
  lines: AsyncIterable<{ readonly line: string; readonly bytes: number }>,
  totals: { files: number; bytes: number },
): AsyncGenerator<Uint8Array> {
  let some: string[] = [];
  for await (const { line, bytes } of lines) {
    totals.files += 1;
    totals.bytes += bytes;
    some.push(line);
    if (some.length < PLAIN_TOGETHER) continue;
    yield Buffer.from(some.join(''));
    some = [];
  }
  if (some.length > 0) yield Buffer.from(some.join(''));
}

async function* namedPlain(plain: LinesFile, owners: Owners): AsyncGenerator<NamedEntry[]> {
  let some: NamedEntry[] = [];
  for await (const line of plain.lines()) {
    some.push(await nameOwners(owners, entryOfLine(line)));
    if (some.length < PLAIN_TOGETHER) continue;
    yield some;
    some = [];
  }
  if (some.length > 0) yield some;
}
