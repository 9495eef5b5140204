import { AgentService, type SeedSource } from '@stillpoint/shared/proto';
import { createClient } from '@stillpoint/shared/rpc';
import type { AgentConfig } from '../config/schema.ts';

/** What another agent hands out against a ticket. */
export interface SeedClient {
  /** The bytes of one of its files, in order. Throws what that agent answers, CONNECTION_LOST, or the signal's reason. */
  fetch(shard: string, signal: AbortSignal): AsyncIterable<Uint8Array>;
  close(): void;
}

/** Speaks to an agent that seeds; `node` is its name, for messages and its certificate. */
export function openSeedClient({ tls, cluster }: AgentConfig, node: string, { address, ticket }: SeedSource): SeedClient {
  const { client, close } = createClient(AgentService, { node, address }, { tls, cluster });
  return {
    fetch: async function* (shard, signal) {
      for await (const { data } of client.fetchShard({ ticket, shard }, { signal })) yield data;
    },
    close,
  };
}
