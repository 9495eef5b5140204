import { StillpointError } from '@stillpoint/shared/errors';
import {
  type BorrowedShard,
  decodePartManifest,
  decodeSetManifest,
  LAYOUT,
  type PartManifest,
  sha256Of,
} from '@stillpoint/shared/manifest';
import type { CaptureOptions } from '@stillpoint/shared/proto';
import type { AgentConfig } from '../config/schema.ts';
import { type Keyring, readKeyring } from '../encryption/index.ts';
import { openRepository, type Repository } from '../repository/index.ts';

/** A part of the set that another one is made as an increment of, as it lies in this node's repository. */
export interface ParentPart {
  readonly setId: string;
  readonly part: PartManifest;
  readonly repository: Repository;
  /** What opens its files, if they are encrypted and this node has identities. */
  readonly keyring: Keyring | undefined;
}

/** Why something is taken in full although an increment was asked for: a sentence without its full stop. */
export class NotUsable extends Error {}

/** The set that an increment is made of. */
export interface Parent {
  readonly setId: string;
  /** Images of a server that may follow a full one. */
  readonly maxChain: number;
  /** The node's own part of it. Throws NotUsable. */
  own(): Promise<ParentPart>;
  /** The part that has a dbroot: the node's own, or that of another node which shares the repository. Throws NotUsable. */
  withDbroot(number: number): Promise<ParentPart>;
}

const DEFAULT_MAX_CHAIN = 7;

/** What the options name; undefined when a full set is asked for. */
export function parentOf(config: AgentConfig, { parentSet: setId, maxChain, recipients }: CaptureOptions): Parent | undefined {
  if (setId === '') return undefined;
  const repository = openRepository(config);
  const open = (node: string): Promise<ParentPart> => openParent(config, repository, { setId, node, recipients });
  return {
    setId,
    maxChain: maxChain || DEFAULT_MAX_CHAIN,
    own: () => open(config.node),
    withDbroot: async (number) => {
      const { members } = await readSet(repository, setId);
      const owner = members.find(({ dbroots }) => dbroots.includes(number))?.node;
      if (owner === undefined) throw new NotUsable(`set ${setId} has no dbroot ${number}`);
      return open(owner);
    },
  };
}

/** What a set says of itself, as far as this repository has it. */
const readSet = (repository: Repository, setId: string) =>
  usable(async () => decodeSetManifest(await repository.readSet(setId), `${LAYOUT.setManifest} of ${setId}`));

interface Wanted {
  readonly setId: string;
  readonly node: string;
  readonly recipients: readonly string[];
}

async function openParent(config: AgentConfig, repository: Repository, { setId, node, recipients }: Wanted): Promise<ParentPart> {
  const { members } = await readSet(repository, setId);
  const member = members.find((each) => each.node === node);
  if (member === undefined) throw new NotUsable(`set ${setId} has nothing of ${node}`);
  const data = await usable(() => repository.readPart(setId, node));
  if (sha256Of(data) !== member.partSha256) throw new NotUsable(`the part of ${node} in set ${setId} is not the one that was committed`);
  const part = await usable(async () => decodePartManifest(data, `${LAYOUT.partManifest} of ${node} in set ${setId}`));
  const before = part.encryption?.recipients ?? [];
  if (before.toSorted().join() !== recipients.toSorted().join())
    throw new NotUsable(
      `set ${setId} is encrypted for ${before.join(', ') || 'nobody'}, and this one for ${recipients.join(', ') || 'nobody'}`,
    );
  const keyring = part.encryption === undefined ? undefined : await readKeyring(config.decryption?.identityFile);
  return { setId, part, repository, keyring };
}

async function usable<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw error instanceof StillpointError ? new NotUsable(error.message) : error;
  }
}

/** A stored file of a parent's, as one who borrows it has it: one that the parent borrows itself stays where it is. */
export const asBorrowed = (shard: PartManifest['shards'][number] | BorrowedShard, { part }: ParentPart): BorrowedShard =>
  'set' in shard ? shard : { ...shard, set: part.setId, node: part.node };

/** Throws NotUsable unless all of them lie here in their size. */
export async function requireStored(shards: readonly BorrowedShard[], { repository }: ParentPart): Promise<void> {
  const lost = await firstLost(shards, repository);
  if (lost !== undefined) throw new NotUsable(`${lost.name} of ${lost.node} in set ${lost.set} is missing or damaged`);
}

/** The first of these files of other sets that does not lie here in its size. Throws the system's error. */
export async function firstLost(shards: readonly BorrowedShard[], repository: Repository): Promise<BorrowedShard | undefined> {
  for (const shard of shards) if ((await repository.shardBytes(shard.set, shard.node, shard.name)) !== shard.storedBytes) return shard;
  return undefined;
}
