import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { claimStateDirectory } from './state-directory.ts';

let parent: string;
let stateDir: string;
let file: string;
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'stillpoint-state-'));
  stateDir = join(parent, 'var', 'agent');
  file = join(stateDir, 'agent.pid');
});
afterEach(() => rmSync(parent, { recursive: true, force: true }));

const busy = expect.objectContaining({ code: 'NODE_BUSY' });
const leave = (content: string): void => {
  mkdirSync(stateDir, { recursive: true });
  writeFileSync(file, content);
};
/** When this process was started, as the kernel counts. */
const ownStart = (): string => readFileSync('/proc/self/stat', 'utf8').split(') ')[1]?.split(' ')[19] ?? '';

test('one agent has it until it gives it back; nobody else can look in', async () => {
  const giveBack = await claimStateDirectory(stateDir);
  expect(statSync(stateDir).mode & 0o777).toBe(0o700);
  expect(readFileSync(file, 'utf8')).toBe(`${process.pid} ${ownStart()}\n`);
  await expect(claimStateDirectory(stateDir)).rejects.toThrow(busy);
  await expect(claimStateDirectory(stateDir)).rejects.toThrow(`pid ${process.pid}`);
  await giveBack();
  expect(readdirSync(stateDir)).toEqual([]);
  await claimStateDirectory(stateDir);
});

test('of many that come at once, one gets it', async () => {
  leave('1000000 1\n');
  const all = await Promise.allSettled(Array.from({ length: 20 }, () => claimStateDirectory(stateDir)));
  expect(all.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  expect(readFileSync(file, 'utf8')).toBe(`${process.pid} ${ownStart()}\n`);
});

test.each([
  ['a process that is gone', '1000000 12345\n'],
  ['a process of the same number that was started at another time', `${process.pid} 1\n`],
  ['nobody: the file is empty', ''],
  ['nobody: the file is damaged', '\0\0\0 what'],
  ['all processes at once', '-1 1\n'],
])('what was left by %s is taken over', async (_, content) => {
  leave(content);
  await claimStateDirectory(stateDir);
  expect(readFileSync(file, 'utf8')).toContain(`${process.pid} `);
  expect(readdirSync(stateDir)).toEqual(['agent.pid']);
});

test('a directory that cannot be is named', async () => {
  mkdirSync(join(parent, 'var'));
  writeFileSync(stateDir, 'a file');
  await expect(claimStateDirectory(stateDir)).rejects.toMatchObject({
    code: 'CONFIG_FILE_UNREADABLE',
    message: expect.stringContaining(`stateDir: ${stateDir}`),
  });
});
