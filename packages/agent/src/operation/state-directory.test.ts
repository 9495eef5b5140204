import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { claimStateDirectory } from './state-directory.ts';

let parent: string;
let stateDir: string;
let file: string;
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'stillpoint-state-'));
  stateDir = join(parent, 'var', 'agent');
  file = join(stateDir, 'agent.7.pid');
});
afterEach(() => rmSync(parent, { recursive: true, force: true }));

const busy = expect.objectContaining({ code: 'NODE_BUSY' });
const leave = (content: string): void => {
  mkdirSync(stateDir, { recursive: true });
  writeFileSync(file, content);
};
/** This process, and when it was started, as the kernel counts. */
const own = (): string => `${process.pid} ${readFileSync('/proc/self/stat', 'utf8').split(') ')[1]?.split(' ')[19]}\n`;
const files = (): Record<string, string> =>
  Object.fromEntries(readdirSync(stateDir).map((name) => [name, readFileSync(join(stateDir, name), 'utf8')]));

test('one agent has it until it gives it back; nobody else can look in', async () => {
  const giveBack = await claimStateDirectory(stateDir);
  expect(statSync(stateDir).mode & 0o777).toBe(0o700);
  expect(files()).toEqual({ 'agent.1.pid': own() });
  await expect(claimStateDirectory(stateDir)).rejects.toThrow(busy);
  await expect(claimStateDirectory(stateDir)).rejects.toThrow(`pid ${process.pid}`);
  await giveBack();
  await claimStateDirectory(stateDir);
  expect(files()).toEqual({ 'agent.2.pid': own() });
});

test('of many that come at once, one gets it; of many that come and go, never two have it', async () => {
  leave('1000000 1\n');
  let owners = 0;
  let most = 0;
  const comeAndGo = async (): Promise<boolean> => {
    try {
      const giveBack = await claimStateDirectory(stateDir);
      most = Math.max(most, ++owners);
      await setImmediate();
      owners--;
      await giveBack();
      return true;
    } catch (error) {
      expect(error).toEqual(busy);
      return false;
    }
  };
  for (let round = 0; round < 20; round++) {
    const all = await Promise.all(Array.from({ length: 20 }, comeAndGo));
    expect(all).toContain(true);
  }
  expect(most).toBe(1);
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
  expect(files()).toEqual({ 'agent.8.pid': own() });
});

test('a directory that cannot be is named', async () => {
  mkdirSync(join(parent, 'var'));
  writeFileSync(stateDir, 'a file');
  await expect(claimStateDirectory(stateDir)).rejects.toMatchObject({
    code: 'CONFIG_FILE_UNREADABLE',
    message: expect.stringContaining(`stateDir: ${stateDir}`),
  });
});
