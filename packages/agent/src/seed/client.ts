import type { BorrowedShard, Shard } from '@stillpoint/shared/manifest';
import { AgentService, type SeedSource } from '@stillpoint/shared/proto';
import { createClient } from '@stillpoint/shared/rpc';
import type { AgentConfig } from '../config/schema.ts';

/** A file of the part that the ticket is for, or one that it borrows of another set's. */
export type FetchedShard = Pick<Shard, 'name'> & Partial<Pick<BorrowedShard, 'set' | 'node'>>;

/** What another agent hands out against a ticket. */
export interface SeedClient {
  /** The bytes of one of its files, in order. Throws what that agent answers, CONNECTION_LOST, or the signal's reason. */
  fetch(shard: FetchedShard, signal: AbortSignal): AsyncIterable<Uint8Array>;
  close(): void;
}

/** Speaks to an agent that seeds; `node` is its name, for messages and its certificate. */
export function openSeedClient({ tls, cluster }: AgentConfig, node: string, { address, ticket }: SeedSource): SeedClient {
  const { client, close } = createClient(AgentService, { node, address }, { tls, cluster });
  return {
    fetch: async function* ({ name: shard, set: borrowedSet = '', node: borrowedNode = '' }, signal) {
      for await (const { data } of client.fetchShard({ ticket, shard, borrowedSet, borrowedNode }, { signal })) yield data;
    },
    close,
  };
}
