import { readFile, realpath } from 'node:fs/promises';

/**
 * Every mount point this process sees. From /proc/self/mountinfo, because a bind mount has the same device number as
 * its surroundings and so cannot be told by stat.
 */
async function mountPoints(): Promise<readonly string[]> {
  const text = await readFile('/proc/self/mountinfo', 'utf8');
  return text.split('\n').flatMap((line) => {
    const point = line.split(' ')[4];
    // Blanks, tabs, newlines and backslashes are written in octal there.
    return point === undefined ? [] : [point.replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))];
  });
}

/** True when something is mounted exactly there, so that it cannot be renamed. Throws the system's error. */
export async function isMountPoint(path: string): Promise<boolean> {
  return (await mountPoints()).includes(await realpath(path));
}

/** Mount points anywhere below a directory, itself excluded. Throws the system's error. */
export async function mountPointsBelow(path: string): Promise<readonly string[]> {
  const real = await realpath(path);
  const parent = real === '/' ? real : `${real}/`;
  return (await mountPoints()).filter((point) => point !== real && point.startsWith(parent));
}
