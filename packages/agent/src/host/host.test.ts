import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runProgram, startProgram } from '../process/index.ts';
import {
  accountName,
  accountOf,
  directoryBytes,
  freeBytes,
  isMountPoint,
  killLeftBehind,
  lockHolder,
  mountPointsBelow,
  ownerOf,
} from './index.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'stillpoint-host-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

test('free space is known for a path that does not exist yet', async () => {
  expect(await freeBytes(join(directory, 'a', 'b', 'c'))).toBeGreaterThan(0);
});

test('the size of a directory counts files once and follows no links', async () => {
  await mkdir(join(directory, 'sub'));
  await writeFile(join(directory, 'a'), Buffer.alloc(1000));
  await writeFile(join(directory, 'sub', 'b'), Buffer.alloc(234));
  await symlink('/usr', join(directory, 'link'));
  expect(await directoryBytes(directory)).toBe(1234);
  expect(await directoryBytes(join(directory, 'missing'))).toBe(0);
});

test('accounts are found by name and number; an unknown number stays a number', async () => {
  expect(await accountOf('root')).toEqual({ uid: 0, gid: 0 });
  expect(await accountOf('nobody-of-that-name')).toBeUndefined();
  expect(await accountName({ uid: 0, gid: 0 })).toBe('root:root');
  expect(await accountName({ uid: 3_999_999, gid: 3_999_998 })).toBe('3999999:3999998');
  expect(await ownerOf(join(directory, 'missing'))).toBeUndefined();
});

test('/proc is a mount point, a directory in it is not', async () => {
  expect(await isMountPoint('/proc')).toBe(true);
  expect(await isMountPoint(directory)).toBe(false);
  expect(await mountPointsBelow('/')).toContain('/proc');
});

test.runIf(process.geteuid?.() === 0)('a bind mount with a blank in its name is a mount point', async () => {
  const point = join(directory, 'with blank');
  await mkdir(point);
  await runProgram('mount', ['--bind', directory, point]);
  try {
    expect(await isMountPoint(point)).toBe(true);
    expect(await mountPointsBelow(directory)).toEqual([point]);
  } finally {
    await runProgram('umount', [point]);
  }
});

test('the holder of a lock is found, and nobody once it has gone', async () => {
  const file = join(directory, 'locked');
  await writeFile(file, 'x');
  expect(await lockHolder(file)).toBeUndefined();
  const holder = startProgram('flock', [file, 'cat'], { stdin: 'pipe', stdout: 'pipe' });
  holder.stdin?.write('locked by now');
  await new Promise((resolve) => holder.stdout?.once('data', resolve));
  expect(await lockHolder(file)).toBe(holder.pid);
  holder.stdin?.end();
  await holder.done;
  expect(await lockHolder(file)).toBeUndefined();
});

test('programs left behind are killed by a name in their arguments; others live on', async () => {
  await writeFile(join(directory, 'ours'), '');
  const left = startProgram('tail', ['-f', join(directory, 'ours')], { stderr: 'ignore' });
  const other = startProgram('tail', ['-f', '/dev/null']);
  expect(await killLeftBehind(['tail'], `${directory}/ours`)).toBe(1);
  await expect(left.done).rejects.toThrow();
  expect(await killLeftBehind(['cat'], '/dev/null')).toBe(0);
  other.kill();
  await expect(other.done).rejects.toThrow();
});
