import { cpSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { partDirectory } from '@stillpoint/shared/manifest';
import { DbrootStrategy, HoldPhase, TaskState } from '@stillpoint/shared/proto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { claimed, done } from '../agent-core/backup.ts';
import { acquire, advance, talkAbout } from '../agent-core/hold-talk.ts';
import { CLUSTER, NODE, set } from '../agent-core/node.ts';
import { loopDiskObstacle, mountLoopDisk, unmountLoopDisk } from '../harness/loop-disk.ts';
import { testDirectory } from '../harness/mariadb-server.ts';
import { engineTree, layOut } from './dbroot-tree.ts';
import { type GuardedNode, startGuardedNode } from './guarded-node.ts';

const obstacle = loopDiskObstacle('xfs');
let node: GuardedNode;
let dbroot: string;

beforeAll(async () => {
  if (obstacle !== undefined) return;
  node = await startGuardedNode();
  dbroot = node.double.primary.dbroots[0]?.path ?? '';
  const kept = testDirectory('kept');
  cpSync(dbroot, kept, { recursive: true });
  mountLoopDisk(dbroot, 'xfs');
  cpSync(kept, dbroot, { recursive: true });
  layOut(dbroot, engineTree({ first: false, columns: 4, segmentBytes: 1_200_000 }));
  rmSync(kept, { recursive: true });
});
afterAll(async () => {
  if (obstacle === undefined) unmountLoopDisk(dbroot);
  await node?.remove();
});

const clones = (): string[] => readdirSync(dbroot).filter((name) => name.startsWith('.stillpoint'));

test('clones that an agent has made are gone after it was killed and started again, and so is its part', async ({ skip }) => {
  skip(obstacle !== undefined, obstacle);
  const { client } = node.connect();
  const { columnstore } = (await client.describeNode({})).facts ?? {};
  expect(columnstore?.dbroots.map(({ reflinkObstacle }) => reflinkObstacle)).toEqual(['']);
  const operationId = await claimed(client);
  const setId = set();
  const talk = talkAbout(client, acquire(operationId));
  await talk.hear('acquired');
  for (const phase of [HoldPhase.DRAIN, HoldPhase.SUSPEND, HoldPhase.FLUSH]) {
    talk.say(advance(phase));
    await talk.hear('advanced');
  }
  const options = { dbroots: [{ number: 1, strategy: DbrootStrategy.REFLINK }] };
  const captured = await done(client, operationId, { task: { case: 'capture', value: { setId, options } } });
  expect(captured.state).toBe(TaskState.SUCCEEDED);
  expect(clones()).toEqual([`.stillpoint-clones-${CLUSTER}-dbroot1`]);
  await node.process.kill('SIGKILL');
  expect(clones()).toHaveLength(1);
  await node.process.start();
  expect(clones()).toEqual([]);
  expect(readdirSync(join(partDirectory(node.repository, CLUSTER, setId, NODE), '../..'))).toEqual([]);
});
