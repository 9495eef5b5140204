import { access, constants, readlink, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { StillpointError } from '@stillpoint/shared/errors';
import { type Account, accountOf, isMountPoint, mountPointsBelow, ownAccount, ownerOf } from '../host/index.ts';
import { DATADIR, type Tree } from './state.ts';

/**
 * Where a data directory really is: behind links, because what is renamed is the directory and not the link. It need
 * not exist.
 */
export async function realDatadir(datadir: string): Promise<string> {
  try {
    return await realpath(datadir);
  } catch {
    // Wiped: it, or what a link points to, is not there. What is above may still be behind links.
    const target = await readlink(datadir).catch(() => undefined);
    if (target !== undefined) return realDatadir(resolve(dirname(datadir), target));
    return dirname(datadir) === datadir ? datadir : join(await realDatadir(dirname(datadir)), basename(datadir));
  }
}

/** True for a directory itself, and for what lies below it at any depth. */
export const isWithin = (path: string, directory: string): boolean => path === directory || path.startsWith(`${directory}/`);

/**
 * Decides where a restore puts a tree: on the file system of what it replaces, because only there is a switch a
 * matter of renames. Beside it; or inside when it is a mount point or its parent is not writable for us.
 * Throws RESTORE_REFUSED when something is mounted within it.
 */
export async function choosePlaces(
  name: string,
  live: string,
  operationId: string,
): Promise<Pick<Tree, 'name' | 'layout' | 'live' | 'stage' | 'kept' | 'undone'>> {
  const there = await ownerOf(live);
  if (there !== undefined) await refuseMountsBelow(live);
  const inside = there !== undefined && ((await isMountPoint(live)) || !(await isWritable(dirname(live))));
  // Dbroots lie beside each other: they are told apart by name.
  const end = name === DATADIR ? operationId : `${operationId}-${name}`;
  const placed = (what: string): string =>
    inside ? join(atRest({ name, live }), `${what}-${end}`) : join(dirname(live), `.stillpoint-${what}-${end}`);
  return { name, layout: inside ? 'inside' : 'beside', live, stage: placed('stage'), kept: placed('kept'), undone: placed('undone') };
}

type Whereabouts = Pick<Tree, 'name' | 'live'>;

/**
 * Our directory within a tree while it is used. In a data directory of a server every directory at the top is a database,
 * hidden ones included: it would be listed, backed up, and break mariadb-upgrade. One below a database is
 * invisible to all of them; `mysql` is in every data directory and never dropped. The engine goes by names of its own in its dbroots, and
 * looks at no other.
 */
export const atRest = ({ name, live }: Whereabouts): string => (name === DATADIR ? join(live, 'mysql', OURS) : join(live, OURS));

/** The same while everything else in it, `mysql` included, is exchanged. */
export const inMotion = ({ live }: Pick<Tree, 'live'>): string => join(live, OURS);

/** Where a path below `atRest` is while in motion. */
export const inMotionPath = (tree: Whereabouts, path: string): string => inMotion(tree) + path.slice(atRest(tree).length);

/** Where a path is once everything is at rest. */
export function atRestPath(trees: readonly Pick<Tree, 'name' | 'layout' | 'live'>[], path: string): string {
  const tree = trees.find((each) => each.layout === 'inside' && isWithin(path, inMotion(each)));
  return tree === undefined ? path : atRest(tree) + path.slice(inMotion(tree).length);
}

/** Name of our directory within a tree. */
export const OURS = '.stillpoint';

async function refuseMountsBelow(live: string): Promise<void> {
  const mounts = await mountPointsBelow(live);
  if (mounts.length === 0) return;
  throw new StillpointError('RESTORE_REFUSED', `Within the data directory ${live} something else is mounted: ${mounts.join(', ')}`, {
    hint: 'Unmount it: a mount point cannot be renamed.',
  });
}

const isWritable = (path: string): Promise<boolean> =>
  access(path, constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  );

/** As packages of the server make it: clients must be able to reach a socket in it. */
const DEFAULT_MODE = 0o755;

/** Who will own restored data, and the mode of its directory: as it is now, else account mysql, else this process. */
export async function futureOwner(datadir: string): Promise<{ owner: Account; mode: number }> {
  const present = await stat(datadir).catch(() => undefined);
  if (present !== undefined) return { owner: { uid: present.uid, gid: present.gid }, mode: present.mode & 0o7777 };
  const own = ownAccount();
  return { owner: own.uid === 0 ? ((await accountOf('mysql')) ?? own) : own, mode: DEFAULT_MODE };
}

/** How to run a program as the owner of the data: only root can choose. */
export const runAs = ({ uid, gid }: Account): { uid?: number; gid?: number } => (ownAccount().uid === 0 ? { uid, gid } : {});
