import { together } from '../../../task/together.ts';
import { Thread } from '../../../thread/index.ts';
import type { ShardToUnpack, Stream, UnpackOrder } from './orders.ts';

/** Pieces on their way to the thread, so that one is there whenever it wants one. */
const PIECES_AHEAD = 2;

/** Where a shard comes from. Both throw what they throw when their signal is aborted, or something of their own. */
export interface ShardInput {
  /** Its bytes, in order. A piece is not touched any more once it was given. */
  pieces(signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** The dbroot's list from its beginning, opened but compressed; the same holds for its pieces. */
  list(signal: AbortSignal): AsyncIterable<Uint8Array>;
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
      (within) => handPieces(thread, 'shard', input.pieces(within)),
      (within) => handPieces(thread, 'files', input.list(within)),
      ...(isLast ? [(within: AbortSignal) => handPieces(thread, 'plain', input.list(within))] : []),
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

async function handPieces(thread: UnpackThread, of: Stream, pieces: AsyncIterable<Uint8Array>): Promise<void> {
  const ahead: Promise<void>[] = [];
  for await (const piece of pieces) {
    const data = ownBuffer(piece);
    const taken = thread.ask({ kind: 'piece', of, data }, [data.buffer]);
    taken.catch(() => undefined);
    ahead.push(taken);
    if (ahead.length > PIECES_AHEAD) await ahead.shift();
  }
  await Promise.all(ahead);
  await thread.ask({ kind: 'last-piece', of });
}

/** Bytes that can be given away: a piece may be a part of something larger. */
function ownBuffer(piece: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer } = piece;
  return buffer instanceof ArrayBuffer && buffer.byteLength === piece.byteLength ? new Uint8Array(buffer) : new Uint8Array(piece);
}
