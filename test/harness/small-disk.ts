import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { testDirectory } from './mariadb-server.ts';

/** Puts a file system of its own, of a size such as 300m, at a directory. Needs the right to mount. */
export function mountSmallDisk(place: string, size: string): void {
  mkdirSync(place, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=0755`, 'stillpoint-test', place], { stdio: 'pipe' });
}

/** Whether this process may mount: root outside of a container, as a rule. Tests that need it are skipped elsewhere. */
export function canMount(): boolean {
  const place = join(testDirectory('mount'), 'disk');
  try {
    mountSmallDisk(place, '1m');
    execFileSync('umount', [place]);
    return true;
  } catch {
    return false;
  }
}

/** Writes a file until nothing goes any more. */
export function fillDisk(file: string): void {
  const { status, stderr } = spawnSync('dd', ['if=/dev/zero', `of=${file}`, 'bs=64k'], { encoding: 'utf8' });
  if (status !== 1 || !stderr.includes('No space left')) throw new Error(`the disk of ${file} did not run full: ${stderr}`);
}
