import type { SetManifest } from '@stillpoint/shared/manifest';
import { newOperationId, newSetId } from '@stillpoint/shared/operation';
import { systemClock } from '@stillpoint/shared/time';
import { openCatalog } from '../../packages/controller/src/catalog/catalog.ts';
import { openDatabase } from '../../packages/controller/src/journal/database.ts';
import { startCluster, type TestCluster } from '../harness/cluster.ts';
import { type Figure, figure, timed } from './measure.ts';

const SETS = 10_000;

/** Time of `backup list`, the start of the program included: with no set, and with 10,000 that the catalog's own code wrote. */
export async function measureCatalog(rounds: number, progress: (text: string) => void): Promise<Figure[]> {
  const cluster = await startCluster({ replicas: 0, mebibytes: 1 });
  try {
    progress('list without a set');
    const empty = await several(rounds, () => cluster.ok('backup', 'list'));
    progress(`fill the catalog with ${SETS} sets`);
    fill(cluster);
    progress(`list ${SETS} sets`);
    const full = await several(rounds, () => cluster.ok('backup', 'list'));
    const listed = (await cluster.ok('backup', 'list')).all('set').length;
    if (listed !== SETS) throw new Error(`${listed} sets were listed, not ${SETS}`);
    return [
      figure('backup list, no set', 'ms', empty, 'start of the program included'),
      figure(`backup list, ${SETS} sets`, 'ms', full),
      figure(
        `${SETS} sets / no set`,
        'x',
        full.map((ms, round) => ms / (empty[round] ?? Number.NaN)),
      ),
    ];
  } finally {
    await cluster.remove();
  }
}

function fill(cluster: TestCluster): void {
  const db = openDatabase(`${cluster.directory}/controller-state`);
  const now = Date.now();
  const found = Array.from({ length: SETS }, (_, index) => {
    const set = generatedSet(new Date(now - index * 3_600_000));
    return { setId: set.setId, state: 'good' as const, reason: '', set, isProtected: false };
  });
  const catalog = openCatalog(db, cluster.name, systemClock);
  catalog.replace(found, catalog.generation(), () => true);
  db.close();
}

function generatedSet(at: Date): SetManifest {
  const members = ['db1', 'db2', 'db3'].map((node, index) => ({
    node,
    roles: index === 0 ? (['sql', 'primary'] as const).slice() : (['sql'] as const).slice(),
    partSha256: 'ab'.repeat(32),
    storedBytes: 50_000_000_000 + index,
    dataBytes: 120_000_000_000 + index,
    mariadbVersion: '10.11.19-MariaDB',
    gtidBinlogPos: '0-1-1234567',
    gtidSlavePos: index === 0 ? '' : '0-1-1234567',
    source: index === 0 ? '' : 'db1',
    dbroots: [],
    provenTables: 812,
    blockedMs: 240.5,
    phases: [],
  }));
  return {
    format: 'stillpoint-set/1',
    cluster: 'shop',
    setId: newSetId(at),
    operationId: newOperationId('backup', at),
    cutAt: at.toISOString(),
    releasedAt: at.toISOString(),
    committedAt: at.toISOString(),
    writtenBy: '0.1.0',
    holdSkewMs: 12.5,
    phases: ['check', 'quiesce', 'capture', 'attest', 'resume', 'publish', 'commit'].map((phase) => ({
      phase,
      ms: 100,
      blocksWriters: true,
    })),
    members,
    uses: [],
  };
}

async function several(rounds: number, work: () => Promise<unknown>): Promise<number[]> {
  const times: number[] = [];
  for (let round = 0; round < rounds; round += 1) times.push(await timed(work));
  return times;
}
