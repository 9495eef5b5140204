import type { ListedEntry } from '@stillpoint/shared/manifest';
import { Damaged } from '../../../archive/damaged.ts';
import { decompressingAtOnce } from '../../../archive/decompress-at-once.ts';
import { giveBack } from '../../../archive/give-back.ts';
import { readContent } from '../../../archive/read-content.ts';
import { storedBytes } from '../../../archive/stored-bytes.ts';
import { Channel } from '../../../columnstore/dbroot/channel.ts';
import { ThreadFailure } from '../../../thread/failure.ts';
import { serveThread } from '../../../thread/serve.ts';
import type { ListPart, ShardToUnpack, UnpackOrder } from './orders.ts';
import { writeFile } from './write-file.ts';

/** Pieces, and parts of the list, that wait. */
const WAITING = 2;

/** A thread that unpacks one shard. */
serveThread<ShardToUnpack, UnpackOrder, void, never>((given) => {
  const pieces = new Channel<Uint8Array>(WAITING);
  const lists: Readonly<Record<ListPart, Channel<readonly ListedEntry[]>>> = { files: new Channel(WAITING), plain: new Channel(WAITING) };
  return (order) => {
    switch (order.kind) {
      case 'piece':
        return pieces.put(order.data);
      case 'last-piece':
        return pieces.end();
      case 'entries':
        return lists[order.part].put(order.entries);
      case 'last-entries':
        return lists[order.part].end();
      case 'unpack':
        return unpack(given, pieces, lists);
    }
  };
});

async function unpack(
  { dbroot, index, shard, where, isOpened, stage, owner }: ShardToUnpack,
  pieces: AsyncIterable<Uint8Array>,
  lists: Readonly<Record<ListPart, AsyncIterable<readonly ListedEntry[]>>>,
): Promise<void> {
  // The list is asked for once for files, and a second time for what else is in it.
  const parts: ListPart[] = ['files', 'plain'];
  const list = (): AsyncIterable<ListedEntry> => entriesOf(lists[parts.shift() ?? 'plain']);
  const corrupt = (error: unknown): unknown =>
    error instanceof Damaged
      ? new ThreadFailure({ code: 'PART_CORRUPT', message: `${shard.name} of ${where} is damaged: ${error.message}` })
      : error;
  const taken = takenFrom(pieces);
  const content = isOpened ? taken : storedBytes(shard, taken);
  for await (const file of readContent({ dbroot, index, list, content, decompress: decompressingAtOnce, corrupt }))
    await writeFile(file.entry, file.content, stage, owner);
}

/** Their memory is this thread's: whoever reads a piece is done with it when the next one is asked for. */
async function* takenFrom(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces) {
    yield piece;
    giveBack(piece, piece.byteLength);
  }
}

async function* entriesOf(parts: AsyncIterable<readonly ListedEntry[]>): AsyncGenerator<ListedEntry> {
  for await (const part of parts) yield* part;
}
