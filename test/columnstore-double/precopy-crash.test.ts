import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { partDirectory } from '@stillpoint/shared/manifest';
import { DbrootStrategy, HoldPhase, PrecopyStorage, TaskState } from '@stillpoint/shared/proto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { claimed, done } from '../agent-core/backup.ts';
import { acquire, advance, talkAbout } from '../agent-core/hold-talk.ts';
import { CLUSTER, NODE, set } from '../agent-core/node.ts';
import { ageKey } from '../harness/age-key.ts';
import { testDirectory } from '../harness/mariadb-server.ts';
import { engineTree, layOut } from './dbroot-tree.ts';
import { type GuardedNode, startGuardedNode } from './guarded-node.ts';

/** What must not lie anywhere in clear once nobody works on it. */
const SECRET = 'written while clients write, and secret';

let node: GuardedNode;
let dbroot: string;
let keys: string;
beforeAll(async () => {
  node = await startGuardedNode();
  dbroot = node.double.primary.dbroots[0]?.path ?? '';
  layOut(dbroot, engineTree({ first: false, columns: 2, segmentBytes: 100_000 }));
  keys = testDirectory('crash-keys');
});
afterAll(async () => {
  await node?.remove();
  rmSync(keys, { recursive: true, force: true });
});

const filesIn = (directory: string): string[] =>
  readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .map((name) => join(directory, name))
    .filter((path) => statSync(path).isFile());
const inClear = (): string[] => filesIn(node.repository).filter((path) => readFileSync(path).includes(SECRET));

test('what was taken raw for an encrypted part is for the agent alone, and gone after it was killed and started again', async () => {
  const { client } = node.connect();
  const operationId = await claimed(client);
  const setId = set();
  const options = { dbroots: [{ number: 1, strategy: DbrootStrategy.PRECOPY }], recipients: [ageKey(keys).recipient] };
  const precopy = { setId, options, storage: PrecopyStorage.DBROOTS };
  expect((await done(client, operationId, { task: { case: 'precopy', value: precopy } })).state).toBe(TaskState.SUCCEEDED);
  expect(inClear()).toEqual([]);
  writeFileSync(join(dbroot, 'bulkRollback/3001'), SECRET);
  const talk = talkAbout(client, acquire(operationId));
  await talk.hear('acquired');
  for (const phase of [HoldPhase.DRAIN, HoldPhase.SUSPEND, HoldPhase.FLUSH]) {
    talk.say(advance(phase));
    await talk.hear('advanced');
  }
  const captured = await done(client, operationId, { task: { case: 'capture', value: { setId, options } } });
  expect(captured.state).toBe(TaskState.SUCCEEDED);
  const part = partDirectory(node.repository, CLUSTER, setId, NODE);
  const raw = inClear();
  expect(raw).toEqual([expect.stringMatching(/\.dbroot1\.taken\.\d+$/)]);
  for (const path of raw) {
    expect(path.startsWith(part)).toBe(true);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  }
  await node.process.kill('SIGKILL');
  expect(inClear()).toEqual(raw);
  await node.process.start();
  expect(inClear()).toEqual([]);
  expect(filesIn(node.repository).filter((path) => path.includes('.taken.'))).toEqual([]);
});
