import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CheckStatus } from '@stillpoint/shared/proto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type AgeKey, ageKey } from '../../../../test/harness/age-key.ts';
import type { Agent } from '../agent.ts';
import { checkDecryption } from './decryption.ts';

let directory: string;
let key: AgeKey;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'stillpoint-check-'));
  key = ageKey(directory);
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const agentWith = (identityFile: string): Agent => ({ config: { decryption: { identityFile } } }) as unknown as Agent;

test('is not made where no identity is named', async () => {
  expect(await checkDecryption({ config: {} } as unknown as Agent, 'restore')).toEqual([]);
});

test('tells the public key', async () => {
  const [result] = await checkDecryption(agentWith(key.file), 'restore');
  expect(result).toMatchObject({ name: 'agent.decryption', status: CheckStatus.OK, message: expect.stringContaining(key.recipient) });
});

test('fails for a restore, and warns for a backup, when others may read the file', async () => {
  await chmod(key.file, 0o644);
  const why = { message: expect.stringContaining('others may use it'), hint: `Run: chmod 600 ${key.file}` };
  expect(await checkDecryption(agentWith(key.file), 'restore')).toMatchObject([
    { status: CheckStatus.FAILED, code: 'CONFIG_FILE_UNREADABLE', ...why },
  ]);
  expect(await checkDecryption(agentWith(key.file), 'backup')).toMatchObject([{ status: CheckStatus.WARNING, code: '', ...why }]);
});
