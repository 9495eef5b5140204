import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { optionText, removeLeftOptionFiles, writeOptionFile } from './option-file.ts';

const account = { socket: '/run/s.sock', user: 'stillpoint', password: 'p' };
let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'stillpoint-option-'));
});
afterEach(() => rm(directory, { recursive: true }));

test('the server’s file comes first, the account after it, in the group that wins', () => {
  expect(optionText('/etc/mysql/my.cnf', account).split('\n')).toEqual([
    '!include /etc/mysql/my.cnf',
    '[mariadb-backup]',
    'user="stillpoint"',
    'password="p"',
    'socket="/run/s.sock"',
    '',
  ]);
});

test('quotes and backslashes in a password are escaped', () => {
  expect(optionText('/x', { ...account, password: 'a"b\\c' })).toContain('password="a\\"b\\\\c"');
});

test('an account without a password has none in the file', () => {
  expect(optionText('/x', { socket: '/s', user: 'mysql' })).not.toContain('password');
});

test('the file is for its owner only, and goes away', async () => {
  const file = await writeOptionFile(join(directory, 'state'), '/x', account);
  expect((await stat(file.path)).mode & 0o777).toBe(0o600);
  expect(await readFile(file.path, 'utf8')).toBe(optionText('/x', account));
  await file.remove();
  await file.remove();
  expect(await readdir(join(directory, 'state'))).toEqual([]);
});

test('what a killed agent left is removed, and nothing else', async () => {
  await writeOptionFile(directory, '/x', account);
  await writeFile(join(directory, 'journal'), '');
  await removeLeftOptionFiles(directory);
  expect(await readdir(directory)).toEqual(['journal']);
  await removeLeftOptionFiles(join(directory, 'missing'));
});
