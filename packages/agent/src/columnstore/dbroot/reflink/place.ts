import { randomUUID } from 'node:crypto';
import { constants, copyFile, readdir, realpath, rm, statfs, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errnoOf } from '@stillpoint/shared/errors';

/** What is ours beside or in a dbroot while it is captured. Never part of an image: see rules.ts. */
const CLONES = '.stillpoint-clones-';
const PROBE = '.stillpoint-probe-';

/** Whose clones. */
export interface Cloned {
  readonly cluster: string;
  readonly number: number;
  /** The dbroot, with no link on the way to it. */
  readonly root: string;
}

/** Where files of a dbroot can be cloned to, or a sentence on why nowhere. */
export type ClonePlace = { readonly parent: string } | { readonly obstacle: string };

const PROBE_BYTES = 16_384;

/** Names of file systems for people, by the numbers that the kernel gives them (statfs(2)). */
const FILE_SYSTEMS: Readonly<Record<number, string>> = {
  61267: 'ext4',
  1481003842: 'an XFS made without reflink',
  16914836: 'tmpfs',
  26985: 'NFS',
  2035054128: 'overlayfs',
  1702057286: 'a file system of FUSE',
  801189825: 'ZFS',
};

/**
 * Finds a place for clones of a dbroot's files: `preferred` if that shares its file system, else beside the dbroot, else in it. Found out by cloning
 * a small file: the name of a file system says nothing of how it was made. What it makes for that, it removes.
 */
export async function findClonePlace(root: string, preferred: string): Promise<ClonePlace> {
  const source = join(root, `${PROBE}${randomUUID()}`);
  try {
    await writeFile(source, Buffer.alloc(PROBE_BYTES, 1), { flag: 'wx', mode: 0o600 });
  } catch (error) {
    return { obstacle: `no file can be made in ${root}: ${(error as Error).message}` };
  }
  try {
    let last: unknown;
    for (const parent of [preferred, dirname(root), root]) {
      const failure = await tryToClone(source, parent);
      if (failure === undefined) return { parent };
      last = failure;
    }
    return { obstacle: await obstacleOf(root, last) };
  } finally {
    await rm(source, { force: true });
  }
}

async function tryToClone(source: string, parent: string): Promise<unknown> {
  const clone = join(parent, `${PROBE}${randomUUID()}`);
  try {
    await copyFile(source, clone, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL);
    return undefined;
  } catch (error) {
    return error;
  } finally {
    await rm(clone, { force: true });
  }
}

/** What ioctl_ficlone(2) says where files are not cloned at all. */
const NOT_CLONED = new Set(['ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'ENOTTY', 'EINVAL']);

async function obstacleOf(root: string, failure: unknown): Promise<string> {
  if (!NOT_CLONED.has(errnoOf(failure) ?? '')) return `files of ${root} cannot be cloned: ${(failure as Error).message}`;
  const { type } = await statfs(root);
  return `${FILE_SYSTEMS[type] ?? `the file system of ${root}`} does not clone files`;
}

/** The directory for the clones of a dbroot, in a place that was found. Pure. */
export const clonesIn = (parent: string, { cluster, number }: Cloned): string => join(parent, `${CLONES}${cluster}-dbroot${number}`);

/** Removes what an earlier life left beside and in a dbroot. Gives the paths of what was there. Throws the system's error. */
export async function removeLeftClones(cluster: string, dbroot: { readonly number: number; readonly path: string }): Promise<string[]> {
  const root = await realpath(dbroot.path).catch(() => undefined);
  if (root === undefined) return [];
  const mine = clonesIn('', { cluster, number: dbroot.number, root });
  const removed: string[] = [];
  for (const parent of [dirname(root), root]) {
    const names = await readdir(parent).catch(() => []);
    for (const name of names.filter((each) => each === mine || (parent === root && each.startsWith(PROBE)))) {
      await rm(join(parent, name), { recursive: true, force: true });
      removed.push(join(parent, name));
    }
  }
  return removed;
}
