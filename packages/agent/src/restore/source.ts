import { StillpointError } from '@stillpoint/shared/errors';
import { decodePartManifest, LAYOUT, type PartManifest, type Shard, sha256Of } from '@stillpoint/shared/manifest';
import { AgentService, type StageTask } from '@stillpoint/shared/proto';
import { createClient } from '@stillpoint/shared/rpc';
import type { AgentConfig } from '../config/schema.ts';
import { openRepository } from '../repository/index.ts';

/** A part to restore from, wherever it lies. */
export interface PartSource {
  readonly part: PartManifest;
  /** Where it lies, for messages. */
  readonly where: string;
  /** The bytes of one of its files, in order. */
  read(shard: Shard, signal: AbortSignal): AsyncIterable<Uint8Array>;
  close(): void;
}

/**
 * The part that a stage task names: from this node's repository, else from the agent that seeds.
 * Throws PART_NOT_FOUND, PART_CORRUPT or MANIFEST_INVALID when it is not the one the set names, or what the other agent answers.
 */
export async function openPart(config: AgentConfig, spec: StageTask, signal: AbortSignal): Promise<PartSource> {
  const { setId, sourceNode, partSha256 } = spec;
  const own = await openOwnPart(config, setId, sourceNode, partSha256).catch((error: unknown) => {
    if (spec.seed !== undefined && error instanceof StillpointError && error.code === 'PART_NOT_FOUND') return undefined;
    throw error;
  });
  return own ?? openSeed(config, spec, signal);
}

/** A part that lies in this node's repository. Throws as `openPart` does. */
export async function openOwnPart(config: AgentConfig, setId: string, node: string, sha256: string): Promise<PartSource> {
  const repository = openRepository(config);
  const part = checkedPart(await repository.readPart(setId, node), { config, setId, node, sha256 });
  return { part, where: config.repository, read: ({ name }, signal) => repository.readShard(setId, node, name, signal), close: () => {} };
}

async function openSeed(config: AgentConfig, { setId, sourceNode, partSha256, seed }: StageTask, signal: AbortSignal): Promise<PartSource> {
  if (seed === undefined) throw new StillpointError('PART_NOT_FOUND', `No seed was named for the part of ${sourceNode} in set ${setId}`);
  const { client, close } = createClient(
    AgentService,
    { node: sourceNode, address: seed.address },
    { tls: config.tls, cluster: config.cluster },
  );
  const fetch = async function* (shard: string, aborted: AbortSignal): AsyncIterable<Uint8Array> {
    for await (const { data } of client.fetchShard({ ticket: seed.ticket, shard }, { signal: aborted })) yield data;
  };
  try {
    const pieces = await Array.fromAsync(fetch(LAYOUT.partManifest, signal));
    const part = checkedPart(Buffer.concat(pieces), { config, setId, node: sourceNode, sha256: partSha256 });
    return { part, where: `node ${sourceNode}`, read: ({ name }, aborted) => fetch(name, aborted), close };
  } catch (error) {
    close();
    throw error;
  }
}

interface Wanted {
  readonly config: AgentConfig;
  readonly setId: string;
  readonly node: string;
  readonly sha256: string;
}

function checkedPart(data: Uint8Array, { config, setId, node, sha256 }: Wanted): PartManifest {
  const where = `${LAYOUT.partManifest} of node ${node} in set ${setId}`;
  if (sha256Of(data) !== sha256) throw new StillpointError('PART_CORRUPT', `${where} is not the one that was committed`);
  const part = decodePartManifest(data, where);
  if (part.cluster === config.cluster && part.setId === setId && part.node === node) return part;
  throw new StillpointError('MANIFEST_INVALID', `${where} is that of ${part.cluster}/${part.setId}/${part.node}`);
}
