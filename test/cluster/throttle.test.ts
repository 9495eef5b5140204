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
      backup: { throttle: '4MiB', maxBlock: `${MAX_BLOCK}s`, nice: 10, ionice: 'idle' },
    });
  });
  afterAll(() => cluster?.remove());

  const create = async (...args: string[]): Promise<SetManifest> =>
    (await cluster.ok('backup', 'create', ...args)).line<BackupReport>('backup').set;
  const storedBytes = ({ members }: SetManifest): number => Math.max(...members.map((member) => member.storedBytes));

  it('takes its time before the still point: no more goes through than was said', async () => {
    const set = await create();
    const precopy = set.phases.find(({ phase }) => phase === 'precopy');
    // What is stored is the smaller half of what counts; and a part of it may go through at once, or inside the still point.
    expect(((precopy?.ms ?? 0) / 1000 + 0.5) * 4 * MIB).toBeGreaterThan(storedBytes(set));
  });

  it('never while writers wait: what would take minutes is done within the block', async () => {
    const set = await create('--capture', 'locked', '--throttle', '64KiB');
    expect(storedBytes(set) / (64 * KIB)).toBeGreaterThan(MAX_BLOCK);
  });
});
