import { createReadStream } from 'node:fs';
import { StillpointError } from '@stillpoint/shared/errors';
import { decodePartManifest, LAYOUT } from '@stillpoint/shared/manifest';
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
 * the files it names are served; of the block resolution manager its four files.
 * Throws TICKET_REFUSED, PART_NOT_FOUND, PART_CORRUPT, BRM_FAILED, ENGINE_RUNNING or the signal's reason.
 */
export async function* fetchShard(
  { repository, tickets, node, brm }: SeedServer,
  { ticket, shard }: { readonly ticket: string; readonly shard: string },
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
  if (!part.shards.some(({ name }) => name === shard)) {
    throw notGood(shard, 'part');
  }
  for await (const data of repository.readShard(setId, node, shard, signal)) yield { data };
}

const notGood = (shard: string, what: string): StillpointError =>
  new StillpointError('TICKET_REFUSED', `The ticket is not good for "${shard.slice(0, 80)}": no such file in the ${what}`);

async function* fetchBrm(files: CurrentBrm['files'], shard: string, signal: AbortSignal): AsyncGenerator<{ data: Uint8Array }> {
  const path = Object.entries(files).find(([name]) => name === shard)?.[1];
  if (path === undefined) throw notGood(shard, 'block resolution manager');
  for await (const data of createReadStream(path, { highWaterMark: PIECE_BYTES, signal })) yield { data };
}

const PIECE_BYTES = 1024 * 1024;
