import { chmod, mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TlsSetting } from '@stillpoint/shared/config';
import { CheckStatus } from '@stillpoint/shared/proto';
import { systemClock } from '@stillpoint/shared/time';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { clockAt, type TestAuthority, testAuthority } from '../../../../test/harness/certificates.ts';
import type { Agent } from '../agent.ts';
import { openJournal } from '../operation/journal.ts';
import { checkCertificate } from './certificate.ts';
import { checkClock } from './clock.ts';
import { checkRepository } from './repository.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'stillpoint-check-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const agentWith = (config: object, clock = systemClock): Agent => ({ config, clock }) as unknown as Agent;

describe('agent.certificate', () => {
  let authority: TestAuthority;
  let tls: TlsSetting;
  beforeEach(async () => {
    authority = await testAuthority('shop');
    tls = await authority.issue('agent', 'db1', { validDays: 90 });
  });
  afterEach(() => authority.remove());

  const looked = (daysFromNow: number, over: Partial<TlsSetting> = {}) =>
    checkCertificate(agentWith({ tls: { ...tls, ...over }, cluster: 'shop' }, clockAt(daysFromNow)));

  test('is fine for as long as it is good for a month', () => {
    expect(looked(0)).toMatchObject({ name: 'agent.certificate', status: CheckStatus.OK });
    expect(looked(55)).toMatchObject({ status: CheckStatus.OK });
  });

  test('warns in its last month and tells what to do', () => {
    expect(looked(70)).toMatchObject({ status: CheckStatus.WARNING, hint: expect.stringContaining('stillpoint pki issue') });
  });

  test('fails when it has expired or cannot be read', () => {
    expect(looked(91)).toMatchObject({ status: CheckStatus.FAILED, code: 'TLS_REFUSED' });
    const gone = join(directory, 'gone.crt');
    expect(looked(0, { cert: gone })).toMatchObject({ status: CheckStatus.FAILED, message: expect.stringContaining(gone) });
  });
});

describe('agent.clock', () => {
  test('is fine when nothing was ever recorded, and after what was', async () => {
    const agent = agentWith({ stateDir: directory });
    const journal = await openJournal(directory);
    expect(await checkClock(agent)).toMatchObject({ name: 'agent.clock', status: CheckStatus.OK });
    await journal.append('backup-1', { type: 'released', at: '2026-01-02T03:04:05.000Z' });
    expect(await checkClock(agent)).toMatchObject({ status: CheckStatus.OK });
  });

  test('warns when it has gone back since the last operation', async () => {
    const journal = await openJournal(directory);
    await journal.append('backup-1', { type: 'released', at: '2026-01-02T03:04:05.000Z' });
    const later = new Date(Date.now() + 3_600_000);
    await utimes(join(directory, 'operations', 'backup-1.jsonl'), later, later);
    expect(await checkClock(agentWith({ stateDir: directory }))).toMatchObject({
      status: CheckStatus.WARNING,
      message: expect.stringMatching(/is (60 m 00 s|59 m \d\d s|1 h 00 m) before the last operation/),
    });
  });
});

describe('repository.writable', () => {
  test('is fine when it can be made and written, and leaves nothing there', async () => {
    const repository = join(directory, 'a', 'b');
    expect(await checkRepository(agentWith({ repository }))).toMatchObject({ name: 'repository.writable', status: CheckStatus.OK });
    expect(await readdir(repository)).toEqual([]);
  });

  test('fails, naming it, when it is no directory', async () => {
    const repository = join(directory, 'file');
    await writeFile(repository, '');
    expect(await checkRepository(agentWith({ repository }))).toMatchObject({
      status: CheckStatus.FAILED,
      code: 'CHECK_FAILED',
      message: expect.stringContaining(repository),
    });
  });

  test.skipIf(process.geteuid?.() === 0)('fails when the agent may not write there', async () => {
    const repository = join(directory, 'closed');
    await mkdir(repository);
    await chmod(repository, 0o500);
    expect(await checkRepository(agentWith({ repository }))).toMatchObject({ status: CheckStatus.FAILED });
  });
});
