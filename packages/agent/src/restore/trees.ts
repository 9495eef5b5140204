import { chmod, chown, mkdir, rm, rmdir, stat } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { StillpointError } from '@stillpoint/shared/errors';
import { exists, freeBytes, killLeftBehind, ownAccount } from '../host/index.ts';
import { atRest, isWithin } from './places.ts';
import { copiesDirectory, DATADIR, type RestoreState, type Tree } from './state.ts';

/** Throws RESTORE_REFUSED when one tree lies in another: they could not be exchanged one by one. */
export function refuseNested(trees: readonly Tree[]): void {
  for (const inner of trees) {
    const outer = trees.find((tree) => tree !== inner && isWithin(inner.live, tree.live));
    if (outer === undefined) continue;
    throw new StillpointError('RESTORE_REFUSED', `${inner.live} (${inner.name}) lies in ${outer.live} (${outer.name})`, {
      hint: 'Give each of them a directory of its own.',
    });
  }
}

/** How many bytes a tree takes while it is staged. */
export interface Need {
  readonly tree: Tree;
  readonly bytes: number;
}

/** Throws SPACE_SHORT when the trees do not fit beside the live data, all those of one file system together. */
export async function requireSpace(needs: readonly Need[]): Promise<void> {
  const byDevice = new Map<number, { bytes: number; directories: string[] }>();
  for (const { tree, bytes } of needs) {
    const directory = dirname(tree.stage);
    const device = await deviceOf(directory);
    const { bytes: before = 0, directories = [] } = byDevice.get(device) ?? {};
    byDevice.set(device, { bytes: before + bytes, directories: [...directories, directory] });
  }
  for (const { bytes, directories } of byDevice.values()) {
    const free = await freeBytes(directories[0] ?? '/');
    if (free >= bytes) continue;
    const where = [...new Set(directories)].join(' and ');
    throw new StillpointError('SPACE_SHORT', `Staging needs ${bytes} bytes beside the live data in ${where}, and ${free} are free`);
  }
}

/** File system of a path, or of its nearest parent that is there. */
async function deviceOf(path: string): Promise<number> {
  const found = await stat(path).catch(() => undefined);
  return found === undefined && dirname(path) !== path ? deviceOf(dirname(path)) : (found?.dev ?? 0);
}

/** Directories above the trees that are not there, the outer ones first. */
export async function missingAbove(trees: readonly Tree[]): Promise<string[]> {
  const missing = new Set<string>();
  for (const { live } of trees) {
    const above: string[] = [];
    for (let path = dirname(live); !(await exists(path)); path = dirname(path)) above.unshift(path);
    for (const path of above) missing.add(path);
  }
  return [...missing];
}

/** As packages make the directories above the data. */
const ABOVE_MODE = 0o755;

/** Makes the stages of all trees; nothing is in them yet. */
export async function makeStages({ trees, made }: RestoreState): Promise<void> {
  for (const path of made) {
    if (await exists(path)) continue;
    await mkdir(path);
    // Not the mode of mkdir: that one is cut by the umask.
    await chmod(path, ABOVE_MODE);
    // The engine looks into directories of its own that no package makes; those above a server's data are the system's.
    const below = trees.find(({ name, live }) => name !== DATADIR && isWithin(live, path));
    if (below !== undefined && ownAccount().uid === 0) await chown(path, below.owner.uid, below.owner.gid);
  }
  for (const tree of trees) await makeStage(tree);
}

/** Those above a stage that are ours too belong to the owner of the data, who must be able to pass. */
async function makeStage({ layout, live, stage, owner, mode }: Tree): Promise<void> {
  const names = relative(live, stage).split(sep);
  const ours = layout === 'inside' ? names.map((_, index) => join(live, ...names.slice(0, index + 1))) : [stage];
  for (const each of ours) {
    if (await exists(each)) continue;
    await mkdir(each, { mode: 0o700 });
    if (ownAccount().uid === 0) await chown(each, owner.uid, owner.gid);
  }
  // Its own from the start: it will be the live directory.
  if (layout === 'beside') await chmod(stage, mode);
}

/** Where an increment of the server's image lies until it is applied: beside the stage, as all that lies in there is data. */
export const incrementPlace = ({ stage }: Pick<Tree, 'stage'>): string => `${stage}-increment`;

const PROGRAMS = ['mariadbd', 'mysqld', 'mariadb-backup', 'mariabackup', 'mbstream'];

/** Removes whatever was staged, and ends what an agent that was killed left working on it; the journal stays. */
export async function removeStages(stateDir: string, { trees, made, operationId }: RestoreState): Promise<void> {
  for (const { name, stage } of trees) {
    if (name === DATADIR) await killLeftBehind(PROGRAMS, stage);
    await rm(stage, { recursive: true, force: true });
    await rm(incrementPlace({ stage }), { recursive: true, force: true });
  }
  await rm(copiesDirectory(stateDir, operationId), { recursive: true, force: true });
  for (const tree of trees) if (tree.layout === 'inside') await removeEmpty(atRest(tree));
  for (const path of made.toReversed()) await removeEmpty(path);
}

/** Removes a directory of ours once nothing of any restore is left in it. */
export async function removeEmpty(directory: string): Promise<void> {
  await rmdir(directory).catch(() => undefined);
}
