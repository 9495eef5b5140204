import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readKeyring } from './index.ts';

let home: string;
let path: string;
let recipient: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'stillpoint-identity-'));
  path = join(home, 'identity');
  execFileSync('age-keygen', ['-o', path], { stdio: 'ignore' });
  recipient = execFileSync('age-keygen', ['-y', path], { encoding: 'utf8' }).trim();
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

/** The secret line of the file. */
const secret = (): string =>
  readFileSync(path, 'utf8')
    .split('\n')
    .find((line) => line.startsWith('AGE-SECRET-KEY-')) ?? '';

test('a file of age-keygen is read; what is shown of it is the public key', async () => {
  const keyring = await readKeyring(path);
  expect(keyring?.recipients).toEqual([recipient]);
  const shown = `${inspect(keyring, { depth: 9, showHidden: true })} ${JSON.stringify(keyring)} ${String(keyring)}`;
  expect(shown).toContain(recipient);
  expect(shown).not.toContain(secret());
});

test('none is configured, none is there', async () => {
  expect(await readKeyring(undefined)).toBeUndefined();
});

test.each([0o604, 0o602, 0o660, 0o644, 0o601])('a file that others may use (mode %o) is refused', async (mode) => {
  chmodSync(path, mode);
  await expect(readKeyring(path)).rejects.toMatchObject({
    code: 'CONFIG_FILE_UNREADABLE',
    message: `decryption.identityFile: ${path}: others may use it (mode 0${mode.toString(8)})`,
    hint: `Run: chmod 600 ${path}`,
  });
});

test.each([0o600, 0o400, 0o640])('mode %o is fine', async (mode) => {
  chmodSync(path, mode);
  expect((await readKeyring(path))?.recipients).toEqual([recipient]);
});

test('a file that is not there, or holds no identity, is named', async () => {
  await expect(readKeyring(join(home, 'none'))).rejects.toThrow(`decryption.identityFile: ${home}/none: no such file`);
  writeFileSync(path, '# nothing\n\n');
  await expect(readKeyring(path)).rejects.toThrow(`${path}: it holds no identity`);
  writeFileSync(path, `# a comment\n${recipient}\n`);
  await expect(readKeyring(path)).rejects.toThrow(`${path}: line 2 is no identity`);
});

test('no message quotes an identity, also not a damaged one', async () => {
  const key = secret();
  const damaged = `${key.slice(0, -1)}${key.endsWith('Q') ? 'P' : 'Q'}`;
  for (const text of [damaged, `${key} ${key}`, key.toLowerCase()]) {
    writeFileSync(path, `${text}\n`);
    const error: unknown = await readKeyring(path).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'CONFIG_FILE_UNREADABLE' });
    expect(inspect(error, { depth: 9, showHidden: true }).toUpperCase()).not.toContain(key.slice(16, 40).toUpperCase());
  }
});
