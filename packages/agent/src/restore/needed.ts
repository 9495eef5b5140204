import { chmod, chown, mkdir, stat } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { type Account, exists, ownAccount } from '../host/index.ts';
import type { ServerSettings } from '../mariadb/settings.ts';
import { isWithin, realDatadir } from './places.ts';
import type { Tree } from './state.ts';

/** As the server makes directories itself. */
const DEFAULT_MODE = 0o700;

/**
 * Makes in the stage the directories below the data directory that the server needs and does not make by itself, for its logs
 * say: a backup holds none of them, because nothing of the data is in them. Repeatable. Throws the system's error.
 */
export async function makeNeededDirectories(
  { live, stage, owner }: Pick<Tree, 'live' | 'stage' | 'owner'>,
  { neededDirectories }: Pick<ServerSettings, 'neededDirectories'>,
): Promise<void> {
  for (const directory of new Set(await Promise.all(neededDirectories.map(realDatadir)))) {
    if (!isWithin(directory, live)) continue;
    const names = relative(live, directory).split(sep);
    for (const path of names.map((_, index) => join(...names.slice(0, index + 1)))) {
      await makeLike(join(live, path), join(stage, path), owner);
    }
  }
}

async function makeLike(present: string, directory: string, { uid, gid }: Account): Promise<void> {
  if (await exists(directory)) return;
  const mode = await stat(present).then(
    (found) => found.mode & 0o7777,
    () => DEFAULT_MODE,
  );
  await mkdir(directory);
  if (ownAccount().uid === 0) await chown(directory, uid, gid);
  // Not the mode of mkdir: that one is cut by the umask.
  await chmod(directory, mode);
}
