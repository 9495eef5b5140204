import { EXIT } from '@stillpoint/shared/errors';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Command } from '../harness/cli.ts';
import { startCluster, type TestCluster } from '../harness/cluster.ts';
import { eventually } from '../harness/eventually.ts';
import { type ErrorLine, expectNextBackupWorks, expectRefusal, goodSets } from '../harness/expect.ts';
import type { Writer } from '../harness/writer.ts';

/** What writers may lose when the controller dies: the lease and two seconds. */
const BOUND_MS = 3_000 + 2_000;

let cluster: TestCluster;
let writer: Writer;

beforeAll(async () => {
  // Under the lock, so that writers wait while the copy is held open; what a copy at the gate meets is in gate.test.ts.
  cluster = await startCluster({ mebibytes: 8, backup: { capture: 'locked' } });
  writer = cluster.writer();
});
afterEach(() => cluster?.openGates());
afterAll(async () => {
  await writer?.stop();
  await cluster?.remove();
});

/** Starts a backup and gives it when a phase has begun; `capture` is held open in the middle of its stream. */
async function backupIn(phase: string): Promise<{ command: Command; goOn: () => void }> {
  const gate = phase === 'capture' ? cluster.node('db2').captureGate() : undefined;
  const command = cluster.start('backup', 'create');
  await command.until((line) => line.type === 'phase' && line.phase === phase);
  await gate?.reached();
  return { command, goOn: () => gate?.open() };
}

describe.each(['check', 'ready', 'quiesce', 'capture', 'attest', 'resume', 'publish', 'commit'])(
  'a controller that is killed during %s',
  (phase) => {
    it('leaves writers that go on within the lease, and no set', async () => {
      const before = await goodSets(cluster);
      const window = writer.window();
      const { command, goOn } = await backupIn(phase);
      command.kill('SIGKILL');
      await command.ended;
      const written = writer.last;
      await eventually(() => writer.last > written + 5);
      goOn();
      const noticed = window();
      expect(noticed.errors).toEqual([]);
      expect(noticed.longestMs).toBeLessThan(BOUND_MS);
      const next = await expectNextBackupWorks(cluster);
      // Whether the last moments of a commit were enough to make a set: all nodes agree, and it verifies.
      const others = (await goodSets(cluster)).filter((setId) => setId !== next && !before.includes(setId));
      if (phase !== 'commit') expect(others).toEqual([]);
      for (const setId of others) await cluster.ok('backup', 'verify', setId);
      const interrupted = (await cluster.ok('backup', 'list', '--all'))
        .all<{ state: string }>('set')
        .filter(({ state }) => state === 'failed');
      if (others.length === 0) expect(interrupted.length).toBeGreaterThan(0);
    });
  },
);

describe.each(['check', 'quiesce', 'capture', 'publish'])('SIGINT during %s', (phase) => {
  it('ends in a resumed cluster and a recorded set that is not good', async () => {
    const before = await goodSets(cluster);
    const window = writer.window();
    const { command, goOn } = await backupIn(phase);
    command.kill('SIGINT');
    const ended = await command.ended;
    goOn();
    const written = writer.last;
    await eventually(() => writer.last > written);
    expect(window().errors).toEqual([]);
    expect(window().longestMs).toBeLessThan(BOUND_MS);
    expect(ended.exitCode).toBe(EXIT.INTERRUPTED);
    expect(await goodSets(cluster)).toEqual(before);
    // Whoever was asked to stop gives everything back: the next backup need not wait for any claim to run out.
    await cluster.ok('backup', 'create');
  });
});

it('a controller that is frozen during capture loses its hold, and cannot make a set of it afterwards', async () => {
  const before = await goodSets(cluster);
  const window = writer.window();
  const { command, goOn } = await backupIn('capture');
  command.kill('SIGSTOP');
  const written = writer.last;
  await eventually(() => writer.last > written + 5);
  goOn();
  command.kill('SIGCONT');
  const ended = await command.ended;
  // Both find out by themselves, the agents and the controller that wakes up; either may be the one that tells.
  expect(['LEASE_EXPIRED', 'HOLD_LOST']).toContain(ended.line<ErrorLine>('error').code);
  expect(ended.exitCode).toBe(EXIT.BACKUP_FAILED);
  expect(window().errors).toEqual([]);
  expect(window().longestMs).toBeLessThan(BOUND_MS);
  expect(await goodSets(cluster)).toEqual(before);
  await expectNextBackupWorks(cluster);
});

it('a second operation is refused while one runs, and does not disturb it', async () => {
  const { command, goOn } = await backupIn('capture');
  const second = await cluster.run('backup', 'create');
  const other = await cluster.run('backup', 'verify', 'latest');
  goOn();
  expect(second.exitCode).toBe(EXIT.BUSY);
  expectRefusal(second, second.line<{ code: 'OPERATION_RUNNING' | 'NODE_BUSY' }>('error').code);
  expect(other.exitCode).toBe(EXIT.BUSY);
  expect((await command.ended).exitCode).toBe(0);
});
