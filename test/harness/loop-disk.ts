import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { testDirectory } from './mariadb-server.ts';

/** How file systems of a kind are made; the smallest that its program makes. */
const KINDS = {
  xfs: { make: ['mkfs.xfs', '-q', '-m', 'reflink=1'], bytes: 320 * 1024 ** 2 },
  'xfs without reflink': { make: ['mkfs.xfs', '-q', '-m', 'reflink=0'], bytes: 320 * 1024 ** 2 },
  btrfs: { make: ['mkfs.btrfs', '-q'], bytes: 256 * 1024 ** 2 },
  ext4: { make: ['mkfs.ext4', '-q', '-F'], bytes: 128 * 1024 ** 2 },
  // Its driver stamps files by the tick of a clock, also where that of ext4 does not.
  ext3: { make: ['mkfs.ext3', '-q', '-F', '-I', '256'], bytes: 128 * 1024 ** 2 },
} as const;

export type LoopDiskKind = keyof typeof KINDS;

/** Puts a file system of a kind at a directory, in a file beside it. Needs root, loop devices, and the program that makes it. */
export function mountLoopDisk(place: string, kind: LoopDiskKind, bytes: number = KINDS[kind].bytes): void {
  const image = `${place}.image`;
  const [program, ...args] = KINDS[kind].make;
  writeFileSync(image, '');
  truncateSync(image, Math.max(bytes, KINDS[kind].bytes));
  execFileSync(program, [...args, image], { stdio: 'pipe', env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` } });
  mkdirSync(place, { recursive: true });
  execFileSync('mount', ['-o', 'loop', '-t', kind.split(' ')[0] ?? kind, image, place], { stdio: 'pipe' });
}

/** Takes it away again. */
export function unmountLoopDisk(place: string): void {
  execFileSync('umount', [place], { stdio: 'pipe' });
  rmSync(`${place}.image`);
}

/** Why no file system of a kind can be put anywhere here, one line; undefined when it can. */
export function loopDiskObstacle(kind: LoopDiskKind): string | undefined {
  const place = join(testDirectory('loop'), kind.replaceAll(' ', '-'));
  try {
    mountLoopDisk(place, kind);
    unmountLoopDisk(place);
    return undefined;
  } catch (error) {
    return `no ${kind} on a loop device here: ${(error as Error).message.split('\n')[0]}`;
  } finally {
    rmSync(join(place, '..'), { recursive: true, force: true });
  }
}
