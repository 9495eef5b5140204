import { StillpointError } from '@stillpoint/shared/errors';
import { decodePartManifest, LAYOUT, type PartManifest, type Shard, sha256Of } from '@stillpoint/shared/manifest';
import type { SeedSource } from '@stillpoint/shared/proto';
import type { AgentConfig } from '../config/schema.ts';
import { openRepository } from '../repository/index.ts';
import { openSeedClient } from '../seed/index.ts';

/** A part to restore from, wherever it lies. */
export interface PartSource {
  readonly part: PartManifest;
  /** Where it lies, for messages. */
  readonly where: string;
  /** The bytes of one of its files, in order. */
  read(shard: Shard, signal: AbortSignal): AsyncIterable<Uint8Array>;
  close(): void;
}

/** A part that a set names, and where to fetch it from when it is not in this node's repository. */
export interface WantedPart {
  readonly setId: string;
  readonly node: string;
  /** Of its manifest, as the set has it. */
  readonly sha256: string;
  readonly seed?: SeedSource | undefined;
}

/**
 * A part: from this node's repository, else from the agent that seeds.
 * Throws PART_NOT_FOUND, PART_CORRUPT or MANIFEST_INVALID when it is not the one the set names, or what the other agent answers.
 */
export async function openPart(config: AgentConfig, wanted: WantedPart, signal: AbortSignal): Promise<PartSource> {
  const own = await openOwnPart(config, wanted).catch((error: unknown) => {
    if (wanted.seed !== undefined && error instanceof StillpointError && error.code === 'PART_NOT_FOUND') return undefined;
    throw error;
  });
  return own ?? openSeed(config, wanted, signal);
}

/** A part that lies in this node's repository. Throws as `openPart` does. */
export async function openOwnPart(config: AgentConfig, wanted: WantedPart): Promise<PartSource> {
  const repository = openRepository(config);
  const { setId, node } = wanted;
  const part = checkedPart(await repository.readPart(setId, node), config, wanted);
  return { part, where: config.repository, read: ({ name }, signal) => repository.readShard(setId, node, name, signal), close: () => {} };
}

async function openSeed(config: AgentConfig, wanted: WantedPart, signal: AbortSignal): Promise<PartSource> {
  const { setId, node, seed } = wanted;
  if (seed === undefined) throw new StillpointError('PART_NOT_FOUND', `No seed was named for the part of ${node} in set ${setId}`);
  const { fetch, close } = openSeedClient(config, node, seed);
  try {
    const pieces = await Array.fromAsync(fetch(LAYOUT.partManifest, signal));
    const part = checkedPart(Buffer.concat(pieces), config, wanted);
    return { part, where: `node ${node}`, read: ({ name }, aborted) => fetch(name, aborted), close };
  } catch (error) {
    close();
    throw error;
  }
}

function checkedPart(data: Uint8Array, { cluster }: AgentConfig, { setId, node, sha256 }: WantedPart): PartManifest {
  const where = `${LAYOUT.partManifest} of node ${node} in set ${setId}`;
  if (sha256Of(data) !== sha256) throw new StillpointError('PART_CORRUPT', `${where} is not the one that was committed`);
  const part = decodePartManifest(data, where);
  if (part.cluster === cluster && part.setId === setId && part.node === node) return part;
  throw new StillpointError('MANIFEST_INVALID', `${where} is that of ${part.cluster}/${part.setId}/${part.node}`);
}
