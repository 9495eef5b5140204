import { readFile } from 'node:fs/promises';

/** Directories that systemd makes for units with PrivateTmp, below the real one. */
const OF_SYSTEMD = '/systemd-private-';

/**
 * True where a path lies in a temporary directory that systemd made for this process alone: others, the engine among them, have another
 * directory under the same name. False where that cannot be seen.
 */
export const isInPrivateTmp = async (path: string): Promise<boolean> =>
  isPrivate(await readFile('/proc/self/mountinfo', 'utf8').catch(() => ''), path);

/** By the content of /proc/self/mountinfo. Pure. */
export function isPrivate(mountinfo: string, path: string): boolean {
  return mountinfo.split('\n').some((line) => {
    // Id, parent, device, root within its file system, mount point.
    const [, , , root = '', point = ''] = line.split(' ');
    return root.includes(OF_SYSTEMD) && (path === point || path.startsWith(`${point}/`));
  });
}
