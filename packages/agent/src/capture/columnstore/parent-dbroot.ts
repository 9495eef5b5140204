import { archivesOf, isSealed, type PartDbroot, type Shard } from '@stillpoint/shared/manifest';
import { readList } from '../../archive/index.ts';
import type { ParentDbroot } from '../../columnstore/dbroot/index.ts';
import { asBorrowed, NotUsable, type Parent, type ParentPart, requireStored } from '../parent.ts';

/**
 * The same dbroot in the set that this one is to be an increment of; undefined when it has to be stored in full, with a note when an increment was asked
 * for. Throws the system's error.
 */
export async function parentDbroot(
  parent: Parent | undefined,
  number: number,
  note: (message: string) => void,
): Promise<ParentDbroot | undefined> {
  if (parent === undefined) return undefined;
  try {
    return await usableDbroot(await parent.withDbroot(number), number);
  } catch (error) {
    if (!(error instanceof NotUsable)) throw error;
    note(`dbroot ${number} is taken in full: ${error.message}`);
    return undefined;
  }
}

async function usableDbroot(parent: ParentPart, number: number): Promise<ParentDbroot> {
  const { keyring, part, repository, setId } = parent;
  const dbroot = part.columnstore?.dbroots.find((each) => each.number === number);
  if (dbroot === undefined) throw new NotUsable(`the part of ${part.node} in set ${setId} has no dbroot ${number}`);
  const list = listOf(parent, dbroot);
  if (isSealed(list) && !keyring?.opens(part.encryption?.recipients ?? []))
    throw new NotUsable(`its list in set ${setId} is encrypted, and this node has no identity to read it`);
  const archives = archivesOf(part, dbroot).map((shard) => asBorrowed(shard, parent));
  await requireStored([...archives, asBorrowed(list, parent)], parent);
  return {
    ...{ setId, archives, ownArchives: dbroot.shards.length, files: dbroot.files, lookedAtMs: dbroot.lookedAtMs },
    list: (signal) =>
      readList({ shard: list, where: `set ${setId}`, pieces: repository.readShard(setId, part.node, list.name, signal), keyring }),
  };
}

function listOf({ part, setId }: ParentPart, { list }: PartDbroot): Shard {
  const shard = part.shards.find(({ name }) => name === list);
  if (shard === undefined) throw new NotUsable(`the part of ${part.node} in set ${setId} has no ${list}`);
  return shard;
}
