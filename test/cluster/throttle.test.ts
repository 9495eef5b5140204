import type { BackupReport } from '@stillpoint/controller';
import type { SetManifest } from '@stillpoint/shared/manifest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startCluster, type TestCluster } from '../harness/cluster.ts';

const MIB = 1024 ** 2;
const KIB = 1024;
/** As the harness has it, seconds. */
const MAX_BLOCK = 30;

describe('a throttled backup', () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await startCluster({
      replicas: 1,
      mebibytes: 12,
      backup: { throttle: '8MiB', maxBlock: `${MAX_BLOCK}s`, nice: 10, ionice: 'idle' },
    });
  });
  afterAll(() => cluster?.remove());

  const create = async (...args: string[]): Promise<SetManifest> =>
    (await cluster.ok('backup', 'create', ...args)).line<BackupReport>('backup').set;
  const storedBytes = ({ members }: SetManifest): number => Math.max(...members.map((member) => member.storedBytes));

  it('takes its time before the still point: no more goes through than was said', async () => {
    // Without zstd, which would take in some MiB for each processor before it gives anything.
    const set = await create('--compression-level', 'none');
    const before = set.phases.slice(
      0,
      set.phases.findIndex(({ blocksWriters }) => blocksWriters),
    );
    const seconds = before.reduce((sum, { ms }) => sum + ms / 1000, 0);
    const dataBytes = Math.max(...set.members.map((member) => member.dataBytes));
    // What is read and what is stored both count; some of it may go through at once, or inside the still point.
    expect(seconds * 8 * MIB).toBeGreaterThan(dataBytes);
  });

  it('never while writers wait: what would take minutes is done within the block', async () => {
    const set = await create('--capture', 'locked', '--throttle', '64KiB');
    expect(storedBytes(set) / (64 * KIB)).toBeGreaterThan(MAX_BLOCK);
  });
});
