import { StillpointError } from '@stillpoint/shared/errors';
import { decodePartManifest, LAYOUT } from '@stillpoint/shared/manifest';
import type { Repository } from '../repository/index.ts';
import type { Tickets } from './tickets.ts';

/** Whose part is served, and against which tickets. */
export interface SeedServer {
  readonly repository: Repository;
  readonly tickets: Tickets;
  readonly node: string;
}

/**
 * Streams one file of this node's part to the holder of a ticket, pieces of at most 1 MiB; the next is read when the
 * last was taken. Only part.json and the files it names are served.
 * Throws TICKET_REFUSED, PART_NOT_FOUND, PART_CORRUPT or the signal's reason.
 */
export async function* fetchShard(
  { repository, tickets, node }: SeedServer,
  { ticket, shard }: { readonly ticket: string; readonly shard: string },
  signal: AbortSignal,
): AsyncGenerator<{ data: Uint8Array }> {
  const { setId } = tickets.redeem(ticket);
  const manifest = await repository.readPart(setId);
  if (shard === LAYOUT.partManifest) {
    yield { data: manifest };
    return;
  }
  const part = decodePartManifest(manifest, `${LAYOUT.partManifest} of set ${setId}`);
  if (!part.shards.some(({ name }) => name === shard)) {
    throw new StillpointError('TICKET_REFUSED', `The ticket is not good for "${shard.slice(0, 80)}": no such file in the part`);
  }
  for await (const data of repository.readShard(setId, node, shard, signal)) yield { data };
}
