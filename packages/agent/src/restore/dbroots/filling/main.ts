import { isListedEntry, linesOf } from '@stillpoint/shared/listed';
import type { ListedEntry } from '@stillpoint/shared/manifest';
import { Damaged } from '../../../archive/damaged.ts';
import { decompressingAtOnce } from '../../../archive/decompress-at-once.ts';
import { giveBack } from '../../../archive/give-back.ts';
import { readContent } from '../../../archive/read-content.ts';
import { storedBytes } from '../../../archive/stored-bytes.ts';
import { Channel } from '../../../columnstore/dbroot/channel.ts';
import { ThreadFailure } from '../../../thread/failure.ts';
import { serveThread } from '../../../thread/serve.ts';
import type { ShardToUnpack, Stream, UnpackOrder } from './orders.ts';
import { writeFile } from './write-file.ts';

/** Pieces that wait. */
const WAITING = 2;

type Streams = Readonly<Record<Stream, Channel<Uint8Array>>>;

/** A thread that unpacks one shard. */
serveThread<ShardToUnpack, UnpackOrder, void, never>((given) => {
  const streams: Streams = { shard: new Channel(WAITING), files: new Channel(WAITING), plain: new Channel(WAITING) };
  return (order) => {
    switch (order.kind) {
      case 'piece':
        return streams[order.of].put(order.data);
      case 'last-piece':
        return streams[order.of].end();
      case 'unpack':
        return unpack(given, streams);
    }
  };
});

async function unpack({ dbroot, index, shard, where, listName, isOpened, stage, owner }: ShardToUnpack, streams: Streams): Promise<void> {
  // The list is asked for once for files, and a second time for what else is in it.
  const parts = [streams.files, streams.plain];
  const list = (): AsyncIterable<ListedEntry> => entriesOf(parts.shift() ?? streams.plain, `${listName} of ${where}`);
  const corrupt = (error: unknown): unknown =>
    error instanceof Damaged
      ? new ThreadFailure({ code: 'PART_CORRUPT', message: `${shard.name} of ${where} is damaged: ${error.message}` })
      : error;
  const taken = takenFrom(streams.shard);
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

/** Lines of the list. It was read before by the main thread, which says better what is wrong with it. */
async function* entriesOf(pieces: AsyncIterable<Uint8Array>, name: string): AsyncGenerator<ListedEntry> {
  const refuse = (what: string, line: number): ThreadFailure =>
    new ThreadFailure({ code: 'MANIFEST_INVALID', message: `${name}, line ${line}: ${what}` });
  let number = 0;
  try {
    for await (const lines of linesOf(decompressingAtOnce(takenFrom(pieces)), refuse)) {
      for (const line of lines) {
        number += 1;
        const entry: unknown = JSON.parse(line);
        if (!isListedEntry(entry)) throw refuse('not understood', number);
        yield entry;
      }
    }
  } catch (error) {
    if (error instanceof SyntaxError) throw refuse('is not JSON', number);
    throw error instanceof Damaged ? new ThreadFailure({ code: 'PART_CORRUPT', message: `${name} is damaged: ${error.message}` }) : error;
  }
}
