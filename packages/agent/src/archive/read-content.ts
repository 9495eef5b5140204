import { createHash } from 'node:crypto';
import type { ListedEntry, ListedFile, PartDbroot } from '@stillpoint/shared/manifest';
import { requireAgreement } from './agree.ts';
import { ByteReader } from './byte-reader.ts';
import { Damaged } from './damaged.ts';
import { paddingOf, type TarEntry } from './tar/blocks.ts';
import { decodeHeader } from './tar/decode.ts';

/** An archive of a dbroot, with what the list says of it. */
export interface ListedArchive {
  readonly dbroot: Pick<PartDbroot, 'number' | 'shards' | 'superseded'>;
  /** Which of `dbroot.shards` it is; behind those, one that the dbroot borrows. */
  readonly index: number;
  /** Opens the dbroot's list at its beginning: once, and once more for the last shard. */
  readonly list: () => AsyncIterable<ListedEntry>;
}

/** What a stored archive holds, and how it is read. */
export interface OpenedArchive extends ListedArchive {
  /** The archive, compressed; who gives it compares size and digest of what is stored. */
  readonly content: AsyncIterable<Uint8Array>;
  /** A way to decompress; whether a piece of a file outlives the next one is up to it. */
  readonly decompress: (pieces: AsyncIterable<Uint8Array>) => AsyncGenerator<Uint8Array>;
  /** Makes of an error what is to be thrown: Damaged knows nothing of names. */
  readonly corrupt: (error: unknown) => unknown;
}

/** A file in an archive. */
export interface ArchivedFile {
  readonly entry: ListedFile;
  /** Its bytes in order. At their end size and digest are compared with the list. To be read before the next file is asked for. */
  readonly content: AsyncIterable<Uint8Array>;
}

/** Files of one frame; those who write put fewer together. */
const MOST_TOGETHER = 4096;

/**
 * Gives the files of an archive as they lie in it, and compares all of it with the list on the way, as `readArchive` does, which says the rest. Loads
 * nothing that a thread would be slow to start with. Throws `corrupt` of Damaged, and of what `content` and `list` throw.
 */
export async function* readContent({ dbroot, index, list, content, decompress, corrupt }: OpenedArchive): AsyncGenerator<ArchivedFile> {
  const stored = new ByteReader(content);
  try {
    const isBorrowed = index >= dbroot.shards.length;
    const how = { mayHoldMore: isBorrowed || dbroot.superseded === true, isBorrowed, decompress };
    for await (const frame of framesOf(filesOf(list(), index))) {
      if (how.mayHoldMore) await passOver(stored, (frame[0]?.frame ?? 0) - stored.position);
      yield* readFrame(stored, frame, how, corrupt);
    }
    const isLast = index === dbroot.shards.length - 1;
    // What else lies in a part of another set is that one's.
    if (isBorrowed) for await (const _ of stored.rest());
    else await readEnd(stored, isLast ? withoutContent(list()) : nothing(), how);
  } catch (error) {
    throw corrupt(error);
  } finally {
    await stored.close();
  }
}

async function* filesOf(list: AsyncIterable<ListedEntry>, index: number): AsyncGenerator<ListedFile> {
  for await (const entry of list) if (entry.type === 'file' && entry.shard === index) yield entry;
}

async function* withoutContent(list: AsyncIterable<ListedEntry>): AsyncGenerator<ListedEntry> {
  for await (const entry of list) if (entry.type !== 'file') yield entry;
}

async function* nothing(): AsyncGenerator<ListedEntry> {}

/** Puts the files of each frame together. */
async function* framesOf(files: AsyncIterable<ListedFile>): AsyncGenerator<ListedFile[]> {
  let together: ListedFile[] = [];
  for await (const file of files) {
    const [first] = together;
    if (first !== undefined && (first.frame !== file.frame || first.frameBytes !== file.frameBytes)) {
      yield together;
      together = [];
    }
    together.push(file);
    if (together.length > MOST_TOGETHER) throw new Damaged(`the list puts more than ${MOST_TOGETHER} files into one frame`);
  }
  if (together.length > 0) yield together;
}

/** Reads so many bytes without a look at them. */
async function passOver(from: ByteReader, bytes: number): Promise<void> {
  for await (const _ of from.take(bytes));
}

/** The next header in a frame; with `until`, the last one that begins its content there or behind: files that lie before it are passed over. */
async function headerIn(raw: ByteReader, until: number | undefined): Promise<TarEntry | undefined> {
  for (;;) {
    const header = await decodeHeader((bytes) => raw.read(bytes));
    if (header?.type !== 'file' || until === undefined || raw.position >= until) return header;
    await passOver(raw, header.size + paddingOf(header.size));
  }
}

/** How an archive is read, and how far it may differ from the list. */
interface Reading extends Pick<OpenedArchive, 'decompress'> {
  /** Files may be in it that the list does not have. */
  readonly mayHoldMore: boolean;
  /** It was written for another list: since then, a file may have got another mode or time, as after a restore. */
  readonly isBorrowed: boolean;
}

/** `corrupt` makes of an error what a reader of the content is to get. */
async function* readFrame(
  stored: ByteReader,
  files: readonly ListedFile[],
  { mayHoldMore, isBorrowed, decompress }: Reading,
  corrupt: (error: unknown) => unknown,
): AsyncGenerator<ArchivedFile> {
  const { frame = 0, frameBytes = 0 } = files[0] ?? {};
  if (stored.position !== frame)
    throw new Damaged(`the list has ${files[0]?.path} in a frame at byte ${frame}, and the one before ends at ${stored.position}`);
  const raw = new ByteReader(decompress(stored.take(frameBytes)));
  let present: ListedFile | undefined;
  try {
    for (const entry of files) {
      present = entry;
      requireAgreement(await headerIn(raw, mayHoldMore ? entry.at : undefined), entry, isBorrowed);
      if (raw.position !== entry.at) throw new Damaged(`it begins at ${raw.position} of its frame, and at ${entry.at} in the list`);
      const content = new Content(raw, entry);
      yield { entry, content: rethrowing(content.pieces(), (error) => corrupt(placed(error, entry))) };
      // Whatever was not read.
      for await (const _ of content.pieces());
      await raw.read(paddingOf(entry.size));
    }
    if (mayHoldMore) for await (const _ of raw.rest());
    if (!(await raw.isAtEnd())) throw new Damaged('more than that is in its frame');
  } catch (error) {
    throw present === undefined ? error : placed(error, present);
  } finally {
    await raw.close();
  }
}

/** Says in which file and frame something is damaged. */
const placed = (error: unknown, { path, frame }: ListedFile): unknown =>
  error instanceof Damaged ? new Damaged(`${path}, in the frame at byte ${frame}: ${error.message}`) : error;

async function* rethrowing(pieces: AsyncIterable<Uint8Array>, as: (error: unknown) => unknown): AsyncGenerator<Uint8Array> {
  try {
    yield* pieces;
  } catch (error) {
    throw as(error);
  }
}

/** The bytes of one file, compared at their end. */
class Content {
  readonly #raw: ByteReader;
  readonly #sha256: string;
  readonly #hash = createHash('sha256');
  #left: number;

  constructor(raw: ByteReader, { size, sha256 }: ListedFile) {
    this.#raw = raw;
    this.#left = size;
    this.#sha256 = sha256;
  }

  /** Those that were not read yet; may be left, and asked for again. */
  async *pieces(): AsyncGenerator<Uint8Array> {
    for await (const piece of this.#raw.take(this.#left)) {
      this.#left -= piece.length;
      this.#hash.update(piece);
      yield piece;
    }
    if (this.#left === 0 && this.#hash.copy().digest('hex') !== this.#sha256) throw new Damaged('its content is not what the list says');
  }
}

/** The last frame: directories and links, if they are in this shard, and the end of the archive. */
async function readEnd(
  stored: ByteReader,
  entries: AsyncIterable<ListedEntry>,
  { mayHoldMore, decompress }: Omit<Reading, 'isBorrowed'>,
): Promise<void> {
  const until = mayHoldMore ? Number.POSITIVE_INFINITY : undefined;
  const begin = stored.position;
  const raw = new ByteReader(decompress(stored.rest()));
  try {
    for await (const entry of entries) requireAgreement(await headerIn(raw, until), entry);
    if ((await headerIn(raw, until)) !== undefined) throw new Damaged('it holds what is not in the list');
    if (!(await raw.isAtEnd())) throw new Damaged('something follows its end');
  } catch (error) {
    throw error instanceof Damaged ? new Damaged(`the end of the archive, in the frame at byte ${begin}: ${error.message}`) : error;
  } finally {
    await raw.close();
  }
}
