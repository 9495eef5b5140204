import { StillpointError } from '@stillpoint/shared/errors';
import {
  type BorrowedShard,
  decodePartManifest,
  isSealed,
  LAYOUT,
  type PartManifest,
  placeOf,
  type Shard,
  sha256Of,
} from '@stillpoint/shared/manifest';
import type { SeedSource } from '@stillpoint/shared/proto';
import type { AgentConfig } from '../config/schema.ts';
import { type Keyring, Opener, readKeyring } from '../encryption/index.ts';
import { openRepository } from '../repository/index.ts';
import { openSeedClient } from '../seed/index.ts';

/** A part to restore from, wherever it lies. */
export interface PartSource {
  readonly part: PartManifest;
  /** Where it lies, for messages. */
  readonly where: string;
  /** What opens its files, if they are encrypted and this node has identities. */
  readonly keyring: Keyring | undefined;
  /** The bytes of one of its files as stored, in order, or of one that it borrows: that lies where the part lies. */
  read(shard: Shard | BorrowedShard, signal: AbortSignal): AsyncIterable<Uint8Array>;
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
 * Throws PART_NOT_FOUND, PART_CORRUPT or MANIFEST_INVALID when it is not the one the set names, CONFIG_FILE_UNREADABLE for identities that
 * cannot be read, or what the other agent answers.
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
  const keyring = await keyringFor(part, config);
  const read: PartSource['read'] = (shard, signal) => {
    const place = placeOf(shard, { setId, node });
    return repository.readShard(place.setId, place.node, shard.name, signal);
  };
  return { part, where: config.repository, keyring, read, close: () => {} };
}

async function openSeed(config: AgentConfig, wanted: WantedPart, signal: AbortSignal): Promise<PartSource> {
  const { setId, node, seed } = wanted;
  if (seed === undefined) throw new StillpointError('PART_NOT_FOUND', `No seed was named for the part of ${node} in set ${setId}`);
  const { fetch, close } = openSeedClient(config, node, seed);
  try {
    const pieces = await Array.fromAsync(fetch({ name: LAYOUT.partManifest }, signal));
    const part = checkedPart(Buffer.concat(pieces), config, wanted);
    const keyring = await keyringFor(part, config);
    return { part, where: `node ${node}`, keyring, read: fetch, close };
  } catch (error) {
    close();
    throw error;
  }
}

/** Opens one of its files; undefined for one that is not encrypted. */
export const openerOf = ({ keyring, where }: Pick<PartSource, 'keyring' | 'where'>, shard: Shard): Opener | undefined =>
  isSealed(shard) ? new Opener(keyring, `${shard.name} of ${where}`) : undefined;

/** Identities are looked for only when they are needed. Throws CONFIG_FILE_UNREADABLE. */
const keyringFor = async ({ encryption }: PartManifest, { decryption }: AgentConfig): Promise<Keyring | undefined> =>
  encryption === undefined ? undefined : readKeyring(decryption?.identityFile);

function checkedPart(data: Uint8Array, { cluster }: AgentConfig, { setId, node, sha256 }: WantedPart): PartManifest {
  const where = `${LAYOUT.partManifest} of node ${node} in set ${setId}`;
  if (sha256Of(data) !== sha256) throw new StillpointError('PART_CORRUPT', `${where} is not the one that was committed`);
  const part = decodePartManifest(data, where);
  if (part.cluster === cluster && part.setId === setId && part.node === node) return part;
  throw new StillpointError('MANIFEST_INVALID', `${where} is that of ${part.cluster}/${part.setId}/${part.node}`);
}
