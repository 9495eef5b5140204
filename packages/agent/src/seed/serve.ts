import { createReadStream } from 'node:fs';
import { StillpointError } from '@stillpoint/shared/errors';
import { borrowedOf, decodePartManifest, LAYOUT } from '@stillpoint/shared/manifest';
import type { CurrentBrm } from '../columnstore/brm/current.ts';
import type { Repository } from '../repository/index.ts';
import type { Tickets } from './tickets.ts';

/** Whose part is served, and against which tickets. */
export interface SeedServer {
  readonly repository: Repository;
  readonly tickets: Tickets;
  readonly node: string;
  /** The files of the current block resolution manager, to be read now. Throws when this node has none, or when it is in use. */
  readonly brm: () => Promise<CurrentBrm['files']>;
}

/**
 * Streams one file to the holder of a ticket, pieces of at most 1 MiB; the next is read when the last was taken. Of a part only part.json and
 * the files it names are served, its own and those that it borrows; of the block resolution manager its four files.
 * Throws TICKET_REFUSED, PART_NOT_FOUND, PART_CORRUPT, BRM_FAILED, ENGINE_RUNNING or the signal's reason.
 */
export async function* fetchShard(
  { repository, tickets, node, brm }: SeedServer,
  { ticket, shard, borrowedSet = '', borrowedNode = '' }: WantedShard,
  signal: AbortSignal,
): AsyncGenerator<{ data: Uint8Array }> {
  const { setId } = tickets.redeem(ticket);
  if (setId === '') {
    yield* fetchBrm(await brm(), shard, signal);
    return;
  }
  const manifest = await repository.readPart(setId);
  if (shard === LAYOUT.partManifest) {
    yield { data: manifest };
    return;
  }
  const part = decodePartManifest(manifest, `${LAYOUT.partManifest} of set ${setId}`);
  const isBorrowed = borrowedSet !== '';
  const isPart = isBorrowed
    ? borrowedOf(part).some((each) => each.name === shard && each.set === borrowedSet && each.node === borrowedNode)
    : part.shards.some(({ name }) => name === shard);
  if (!isPart) throw notGood(shard, 'part');
  const bytes = isBorrowed
    ? repository.readShard(borrowedSet, borrowedNode, shard, signal)
    : repository.readShard(setId, node, shard, signal);
  for await (const data of bytes) yield { data };
}

/** A file of a part, and if it lies in another set's, in whose. */
interface WantedShard {
  readonly ticket: string;
  readonly shard: string;
  readonly borrowedSet?: string;
  readonly borrowedNode?: string;
}

const notGood = (shard: string, what: string): StillpointError =>
  new StillpointError('TICKET_REFUSED', `The ticket is not good for "${shard.slice(0, 80)}": no such file in the ${what}`);

async function* fetchBrm(files: CurrentBrm['files'], shard: string, signal: AbortSignal): AsyncGenerator<{ data: Uint8Array }> {
  const path = Object.entries(files).find(([name]) => name === shard)?.[1];
  if (path === undefined) throw notGood(shard, 'block resolution manager');
  for await (const data of createReadStream(path, { highWaterMark: PIECE_BYTES, signal })) yield { data };
}

const PIECE_BYTES = 1024 * 1024;
