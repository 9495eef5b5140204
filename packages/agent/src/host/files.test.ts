import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { exists, removeFileDurably, writeFileDurably } from './files.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'stillpoint-files-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

test('a durable write replaces the content and sets exactly the mode asked for', async () => {
  const path = join(directory, 'a.json');
  await writeFile(path, 'old');
  await writeFileDurably(path, 'new', 0o666);
  expect(await readFile(path, 'utf8')).toBe('new');
  expect((await stat(path)).mode & 0o777).toBe(0o666);
  expect(await readdir(directory)).toEqual(['a.json']);
});

test('a failed durable write leaves neither a temporary file nor a changed target', async () => {
  const path = join(directory, 'taken');
  await mkdir(path);
  await writeFile(join(path, 'inside'), 'x');
  await expect(writeFileDurably(path, 'new')).rejects.toThrow();
  expect(await readdir(directory)).toEqual(['taken']);
});

test('removing twice is fine', async () => {
  const path = join(directory, 'a');
  await writeFile(path, 'x');
  await removeFileDurably(path);
  await removeFileDurably(path);
  expect(await exists(path)).toBe(false);
});

test('a dangling link exists, a name below a file does not', async () => {
  await symlink('/nowhere', join(directory, 'link'));
  await writeFile(join(directory, 'file'), '');
  expect(await exists(join(directory, 'link'))).toBe(true);
  expect(await exists(join(directory, 'file', 'below'))).toBe(false);
});
