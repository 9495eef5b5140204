import type { ListedEntry } from '@stillpoint/shared/manifest';
import { together } from '../../../task/together.ts';
import { Thread } from '../../../thread/index.ts';
import type { ListPart, ShardToUnpack, UnpackOrder } from './orders.ts';

/** Lines of the list that are handed over at once. */
const ENTRIES_TOGETHER = 512;
/** Pieces on their way to the thread, so that one is there whenever it wants one. */
const PIECES_AHEAD = 2;

/** Where a shard comes from. Both throw what they throw when their signal is aborted, or something of their own. */
export interface ShardInput {
  /** Its bytes, in order. A piece is not touched any more once it was given. */
  pieces(signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** Lines of the list: files of this shard, or directories and links. */
  list(part: ListPart, signal: AbortSignal): AsyncIterable<ListedEntry>;
}

/**
 * Unpacks one shard on a thread of its own, which decompresses, compares and writes; it has ended when this returns or throws.
 * Throws PART_CORRUPT, the system's error, STAGE_FAILED when the thread dies, what the input throws, or the signal's reason.
 */
export async function unpackShard(shard: ShardToUnpack, input: ShardInput, signal: AbortSignal): Promise<void> {
  const thread: UnpackThread = new Thread<UnpackOrder, void>({
    main: new URL('./main', import.meta.url),
    what: `that unpacks ${shard.shard.name}`,
    code: 'STAGE_FAILED',
    data: shard,
    onWord: () => {},
  });
  const isLast = shard.index === shard.dbroot.shards.length - 1;
  try {
    await together<unknown[]>(signal, [
      (within) => endedWith(thread, within, thread.ask({ kind: 'unpack' })),
      (within) => handPieces(thread, input.pieces(within)),
      (within) => handList(thread, 'files', input.list('files', within)),
      ...(isLast ? [(within: AbortSignal) => handList(thread, 'plain', input.list('plain', within))] : []),
    ]);
  } finally {
    await thread.end();
  }
}

type UnpackThread = Thread<UnpackOrder, void>;

/** Whoever hands something over waits for the thread: when all is off, or it has failed, that must end. */
async function endedWith(thread: UnpackThread, signal: AbortSignal, unpacked: Promise<void>): Promise<void> {
  const onAbort = (): void => void thread.end(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    if (signal.aborted) onAbort();
    await unpacked;
  } catch (error) {
    await thread.end(error);
    throw error;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

async function handPieces(thread: UnpackThread, pieces: AsyncIterable<Uint8Array>): Promise<void> {
  const ahead: Promise<void>[] = [];
  for await (const piece of pieces) {
    const data = ownBuffer(piece);
    const taken = thread.ask({ kind: 'piece', data }, [data.buffer]);
    taken.catch(() => undefined);
    ahead.push(taken);
    if (ahead.length > PIECES_AHEAD) await ahead.shift();
  }
  await Promise.all(ahead);
  await thread.ask({ kind: 'last-piece' });
}

/** Bytes that can be given away: a piece may be a part of something larger. */
function ownBuffer(piece: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer } = piece;
  return buffer instanceof ArrayBuffer && buffer.byteLength === piece.byteLength ? new Uint8Array(buffer) : new Uint8Array(piece);
}

async function handList(thread: UnpackThread, part: ListPart, list: AsyncIterable<ListedEntry>): Promise<void> {
  let entries: ListedEntry[] = [];
  for await (const entry of list) {
    entries.push(entry);
    if (entries.length < ENTRIES_TOGETHER) continue;
    await thread.ask({ kind: 'entries', part, entries });
    entries = [];
  }
  await thread.ask({ kind: 'entries', part, entries });
  await thread.ask({ kind: 'last-entries', part });
}
