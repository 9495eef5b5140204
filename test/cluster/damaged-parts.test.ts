import { closeSync, copyFileSync, openSync, readdirSync, readSync, renameSync, statSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { VerifyReport } from '@stillpoint/controller';
import { EXIT } from '@stillpoint/shared/errors';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startCluster, type TestCluster } from '../harness/cluster.ts';
import { markers } from '../harness/data.ts';

let cluster: TestCluster;
let setId: string;

beforeAll(async () => {
  cluster = await startCluster();
  setId = (await cluster.ok('backup', 'create')).line<{ setId: string }>('backup').setId;
});
afterAll(() => cluster?.remove());

/** Ways in which a disk or a person damages a file. */
const DAMAGE = {
  'cut short': (file: string) => truncateSync(file, statSync(file).size - 1),
  'one bit flipped': (file: string) => flipBit(file, Math.floor(statSync(file).size / 2)),
  missing: (file: string) => renameSync(file, `${file}.gone`),
} as const;

describe.each(Object.keys(DAMAGE) as (keyof typeof DAMAGE)[])('a part with a file that is %s', (kind) => {
  it.each(['mariadb.full.mbstream.zst', 'config.tar.zst', 'part.json'])('%s: verify says which, restore touches nothing', async (name) => {
    const file = join(cluster.node('db1').repository, cluster.name, setId, 'db1', name);
    copyFileSync(file, `${file}.whole`);
    DAMAGE[kind](file);
    try {
      const verified = await cluster.run('backup', 'verify', setId);
      expect(verified.exitCode).toBe(EXIT.VERIFY_FAILED);
      const { nodes } = verified.line<VerifyReport>('verify');
      const told = nodes.find(({ node }) => node === 'db1')?.problems.join('\n');
      // Without its manifest there is no part.
      expect(told).toContain(name === 'part.json' && kind === 'missing' ? `no part of set ${setId}` : name);
      expect(nodes.filter(({ node }) => node !== 'db1').flatMap(({ problems }) => problems)).toEqual([]);

      await expectRestoreRefused();
    } finally {
      renameSync(`${file}.whole`, file);
    }
    expect((await cluster.run('backup', 'verify', setId)).exitCode).toBe(0);
  });
});

/** At the plan or while staging, but always before anything of the live data was touched; servers that ran go on. */
async function expectRestoreRefused(): Promise<void> {
  const planned = await cluster.run('restore', 'plan', setId);
  const refused =
    planned.exitCode === 0
      ? await cluster.run('restore', 'run', planned.line<{ id: string }>('restore-plan').id, '--stop-servers')
      : planned;
  expect([EXIT.VERIFY_FAILED, EXIT.RESTORE_REFUSED]).toContain(refused.exitCode);
  for (const { server } of cluster.nodes) expect(await markers(server)).toEqual([]);
  await discardFailedRestores();
  for (const { server, directory } of cluster.nodes) {
    expect(server.pid).toBeDefined();
    // Nothing staged is left beside the live data.
    expect(readdirSync(join(directory, 'server')).filter((name) => /stillpoint|staged|kept/i.test(name))).toEqual([]);
  }
}

async function discardFailedRestores(): Promise<void> {
  const restores = (await cluster.ok('restore', 'list')).all<{ operationId: string; state: string }>('restore-operation');
  for (const { operationId, state } of restores) {
    if (state === 'failed' || state === 'interrupted') await cluster.run('restore', 'rollback', operationId, '--yes');
  }
}

function flipBit(file: string, offset: number): void {
  const descriptor = openSync(file, 'r+');
  const byte = Buffer.alloc(1);
  readSync(descriptor, byte, 0, 1, offset);
  byte[0] = (byte[0] ?? 0) ^ 0x10;
  writeSync(descriptor, byte, 0, 1, offset);
  closeSync(descriptor);
}
