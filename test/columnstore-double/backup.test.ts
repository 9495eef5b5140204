import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromErrorDetail } from '@stillpoint/shared/errors';
import { decodePartManifest, LAYOUT, partDirectory } from '@stillpoint/shared/manifest';
import { HoldPhase, type TaskEnded, TaskState } from '@stillpoint/shared/proto';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { captureOf, claimed, done, endOf, publishOf, setManifest, verifyOf } from '../agent-core/backup.ts';
import { ATTEST, acquire, advance, type HoldTalk, RELEASE, talkAbout } from '../agent-core/hold-talk.ts';
import { type AgentClient, CLUSTER, NODE, set } from '../agent-core/node.ts';
import { testDirectory } from '../harness/mariadb-server.ts';
import { engineTree, layOut, pictureOf } from './dbroot-tree.ts';
import { type GuardedNode, startGuardedNode } from './guarded-node.ts';

let node: GuardedNode;
let client: AgentClient;
let dbroot: string;
const mine: string[] = [];

beforeAll(async () => {
  node = await startGuardedNode();
  client = node.connect().client;
  dbroot = node.double.primary.dbroots[0]?.path ?? '';
  layOut(dbroot, engineTree({ first: false, columns: 8, segmentBytes: 2_000_000 }));
});
afterEach(async () => {
  for (const operationId of mine.splice(0)) await client.releaseNode({ operationId });
});
afterAll(() => node?.remove());

interface Standing {
  readonly operationId: string;
  readonly setId: string;
  readonly talk: HoldTalk;
}

/** A hold that has come through these phases. */
async function standing(...phases: HoldPhase[]): Promise<Standing> {
  const operationId = await claimed(client);
  mine.push(operationId);
  const talk = talkAbout(client, acquire(operationId));
  await talk.hear('acquired');
  for (const phase of phases) {
    talk.say(advance(phase));
    await talk.hear('advanced');
  }
  return { operationId, setId: set(), talk };
}

const ALL = [HoldPhase.DRAIN, HoldPhase.SUSPEND, HoldPhase.FLUSH];
const partOf = (setId: string): string => partDirectory(node.repository, CLUSTER, setId, NODE);
const codeOf = ({ error }: TaskEnded): string => (error === undefined ? '' : fromErrorDetail(error).code);

test('server and dbroots are captured at the same time, and the part has both', async () => {
  const { operationId, setId, talk } = await standing(...ALL);
  const before = pictureOf(dbroot);
  const captured = await done(client, operationId, captureOf(setId));
  expect(captured).toMatchObject({
    state: TaskState.SUCCEEDED,
    result: { result: { case: 'capture' } },
  });
  talk.say(ATTEST);
  await talk.hear('attested');
  talk.say(RELEASE);
  await talk.hear('released');
  expect(await done(client, operationId, publishOf(setId))).toMatchObject({ state: TaskState.SUCCEEDED });
  const { manifest } = await client.readPart({ setId });
  const part = decodePartManifest(manifest, 'part.json');
  expect(part.shards.map(({ name }) => name)).toEqual(
    expect.arrayContaining([LAYOUT.mariadbFull, LAYOUT.dbroot(1, 0), LAYOUT.dbrootFiles(1), LAYOUT.configuration]),
  );
  expect(part.columnstore).toMatchObject({ primary: true, brmCurrent: 'BRM_saves', dbroots: [{ number: 1 }] });
  expect(readdirSync(partOf(setId)).filter((name) => name.startsWith('.'))).toEqual([]);
  const target = testDirectory('unpacked');
  for (const name of part.columnstore?.dbroots[0]?.shards ?? []) {
    execFileSync('bash', ['-c', 'set -o pipefail; zstd -dc "$0" | tar -xp -C "$1"', join(partOf(setId), name), target], { stdio: 'pipe' });
  }
  expect(pictureOf(target)).toEqual(before);
  await client.commitSet({ operationId, setId, manifest: setManifest(operationId, setId, manifest) });
  expect(await done(client, operationId, verifyOf(setId))).toMatchObject({ result: { result: { value: { problems: [] } } } });
});

test.each([
  ['before the engine is suspended', [HoldPhase.DRAIN]],
  ['before it is drained', []],
])('a capture is refused %s', async (_what, phases) => {
  const { operationId, setId } = await standing(...phases);
  expect(codeOf(await done(client, operationId, captureOf(setId)))).toBe('HOLD_LOST');
  expect(existsSync(partOf(setId))).toBe(false);
});

test('a file of a dbroot that moves ends the whole capture, the image of the server too', async () => {
  const { operationId, setId } = await standing(...ALL);
  const gate = node.gate('mariadb-backup', '--backup');
  const moving = setInterval(() => writeFileSync(join(dbroot, 'bulkRollback/3001'), String(Math.random())), 1);
  await client.startTask({ operationId, taskId: 'capture', spec: captureOf(setId) });
  // The tool waits at its gate still: it is ended there.
  const ended = await endOf(client, operationId, 'capture').finally(() => clearInterval(moving));
  gate.open();
  expect(codeOf(ended)).toBe('CAPTURE_MOVED');
  expect(existsSync(partOf(setId))).toBe(false);
});

test('a hold that is released on the way ends the capture, and nothing of the part is left', async () => {
  const { operationId, setId } = await standing(...ALL);
  const gate = node.gate('mariadb-backup', '--backup');
  await client.startTask({ operationId, taskId: 'capture', spec: captureOf(setId) });
  await gate.reached();
  await client.releaseNode({ operationId });
  mine.length = 0;
  gate.open();
  expect(existsSync(partOf(setId))).toBe(false);
});
