import { archivesOf, isSealed, type PartDbroot, type Shard } from '@stillpoint/shared/manifest';
import { readList } from '../../archive/index.ts';
import type { ParentDbroot } from '../../columnstore/dbroot/index.ts';
import { readBootId } from '../../host/index.ts';
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
    return await usableDbroot(await parent.withDbroot(number), number, note);
  } catch (error) {
    if (!(error instanceof NotUsable)) throw error;
    note(`dbroot ${number} is taken in full: ${error.message}`);
    return undefined;
  }
}

async function usableDbroot(parent: ParentPart, number: number, note: (message: string) => void): Promise<ParentDbroot> {
  const { keyring, part, repository, setId } = parent;
  const dbroot = part.columnstore?.dbroots.find((each) => each.number === number);
  if (dbroot === undefined) throw new NotUsable(`the part of ${part.node} in set ${setId} has no dbroot ${number}`);
  const list = listOf(parent, dbroot);
  if (isSealed(list) && !keyring?.opens(part.encryption?.recipients ?? []))
    throw new NotUsable(`its list in set ${setId} is encrypted, and this node has no identity to read it`);
  const archives = archivesOf(part, dbroot).map((shard) => asBorrowed(shard, parent));
  await requireStored([...archives, asBorrowed(list, parent)], parent);
  const isSameBoot = await isOfThisBoot(dbroot);
  if (!isSameBoot)
    note(
      `dbroot ${number}: the host was started since set ${setId} was made, or is another: stamps prove nothing, so all of its files are read to compare them`,
    );
  const lookedAtMs = isSameBoot ? dbroot.lookedAtMs : undefined;
  return {
    ...{ setId, archives, ownArchives: dbroot.shards.length, files: dbroot.files, lookedAtMs },
    list: (signal) =>
      readList({ shard: list, where: `set ${setId}`, pieces: repository.readShard(setId, part.node, list.name, signal), keyring }),
  };
}

/**
 * Whether what was seen of the files then is what has come of them. A crash of the machine takes back what was not written out yet, and stamps and content
 * need not go back to the same moment. That no other boot is believed is also why nothing has to be written out for the sake of stamps when a set is made.
 */
async function isOfThisBoot({ bootId }: PartDbroot): Promise<boolean> {
  const now = await readBootId();
  return now !== '' && now === bootId;
}

function listOf({ part, setId }: ParentPart, { list }: PartDbroot): Shard {
  const shard = part.shards.find(({ name }) => name === list);
  if (shard === undefined) throw new NotUsable(`the part of ${part.node} in set ${setId} has no ${list}`);
  return shard;
}
