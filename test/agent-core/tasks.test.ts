import { durationFromMs } from '@bufbuild/protobuf/wkt';
import { fromErrorDetail } from '@stillpoint/shared/errors';
import { sha256Of } from '@stillpoint/shared/manifest';
import { TaskState } from '@stillpoint/shared/proto';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import type { Gate } from '../harness/gates.ts';
import { failureOf } from '../harness/served.ts';
import { backUp, captureOf, claimed, done, endOf, publishOf, stageOf, type TakenBackup, verifyOf, watched } from './backup.ts';
import { acquire, talkAbout } from './hold-talk.ts';
import { type AgentClient, operation, set, setsIn, startNode, type TestNode } from './node.ts';

let node: TestNode;
let client: AgentClient;
let backup: TakenBackup;
const mine: string[] = [];
const gates: Gate[] = [];
beforeAll(async () => {
  node = await startNode();
  client = node.connect().client;
  backup = await backUp(client);
});
afterEach(async () => {
  for (const gate of gates.splice(0)) gate.open();
  for (const operationId of mine.splice(0)) await client.releaseNode({ operationId });
  expect((await client.describeNode({})).facts?.claim).toBeUndefined();
});
afterAll(() => node?.remove());

async function claim(...[kind, ttlMs]: [kind?: 'backup' | 'restore' | 'verify', ttlMs?: number]): Promise<string> {
  const operationId = await claimed(client, kind, ttlMs);
  mine.push(operationId);
  return operationId;
}

/** An operation whose capture stands. */
async function capturing(): Promise<{ operationId: string; setId: string; gate: Gate }> {
  const gate = node.gate('zstd', '-T0');
  gates.push(gate);
  const setId = set();
  const operationId = await claim('backup');
  await talkAbout(client, acquire(operationId)).hear('acquired');
  await client.startTask({ operationId, taskId: 'capture', spec: captureOf(setId) });
  await gate.reached();
  return { operationId, setId, gate };
}

test('a backup step by step: its results name what lies on disk', async () => {
  const { captured, published, operationId, setId } = backup;
  expect(captured).toMatchObject({ state: TaskState.SUCCEEDED, result: { result: { case: 'capture' } } });
  expect(published).toMatchObject({ state: TaskState.SUCCEEDED, result: { result: { case: 'publish' } } });
  if (published.result?.result.case !== 'publish') throw new Error('no result');
  const { manifest, partSha256 } = published.result.result.value;
  expect(sha256Of(manifest)).toBe(partSha256);
  expect((await client.readPart({ setId })).manifest).toEqual(manifest);
  expect(node.journal(operationId).map(({ type }) => type)).toEqual([
    ...['claimed', 'held', 'task-started', 'task-ended', 'let-go', 'task-started', 'task-ended', 'committed', 'released'],
  ]);
  expect(await done(client, await claim('verify'), verifyOf(setId))).toMatchObject({
    state: TaskState.SUCCEEDED,
    result: { result: { case: 'verify', value: { problems: [] } } },
  });
});

test('starting it again finds it: while it runs, and when it has succeeded; another content is refused', async () => {
  const { operationId, setId, gate } = await capturing();
  const again = { operationId, taskId: 'capture', spec: captureOf(setId) };
  expect(await client.startTask(again)).toMatchObject({ state: TaskState.RUNNING, started: false });
  const other = { ...again, spec: captureOf(set()) };
  expect(await failureOf(client.startTask(other))).toMatchObject({ code: 'TASK_CONFLICT' });
  gate.open();
  await endOf(client, operationId, 'capture');
  expect(await client.startTask(again)).toMatchObject({ state: TaskState.SUCCEEDED, started: false });
  expect(await failureOf(client.startTask(other))).toMatchObject({ code: 'TASK_CONFLICT' });
});

test('everybody who watches sees it to its end; who leaves stops nothing', async () => {
  const { operationId, gate } = await capturing();
  const leaving = node.connect();
  const left = watched(leaving.client, operationId, 'capture');
  const staying = [watched(client, operationId, 'capture'), watched(node.connect().client, operationId, 'capture')];
  leaving.close();
  expect(await failureOf(left)).toMatchObject({ code: 'CANCELLED' });
  gate.open();
  const [first, second] = await Promise.all(staying);
  const late = await watched(client, operationId, 'capture');
  for (const events of [first, second, late]) {
    expect(events?.at(-1)).toMatchObject({ case: 'ended', value: { state: TaskState.SUCCEEDED } });
    expect(events?.filter((event) => event.case === 'ended')).toHaveLength(1);
  }
  expect(late.at(-1)).toEqual(first?.at(-1));
});

test('cancelling waits until everything half done is gone; afterwards it may be started again', async () => {
  const { operationId, setId, gate } = await capturing();
  expect(setsIn(node.repository)).toContain(setId);
  expect(await client.cancelTask({ operationId, taskId: 'capture' })).toMatchObject({ state: TaskState.CANCELLED });
  expect(setsIn(node.repository)).not.toContain(setId);
  expect(await client.cancelTask({ operationId, taskId: 'capture' })).toMatchObject({ state: TaskState.CANCELLED });
  gate.open();
  expect(await client.startTask({ operationId, taskId: 'capture', spec: captureOf(setId) })).toMatchObject({ started: true });
  expect(await endOf(client, operationId, 'capture')).toMatchObject({ state: TaskState.SUCCEEDED });
});

test('what failed tells why, and may be started again', async () => {
  const operationId = await claim();
  const failed = await done(client, operationId, publishOf(set()));
  expect(failed).toMatchObject({ state: TaskState.FAILED, error: { code: 'HOLD_LOST', node: 'db1' } });
  expect(failed.error && fromErrorDetail(failed.error).hint).not.toBe('');
  const spec = captureOf(set());
  expect(await done(client, operationId, spec)).toMatchObject({ state: TaskState.FAILED, error: { code: 'HOLD_LOST' } });
  await talkAbout(client, acquire(operationId)).hear('acquired');
  expect(await client.startTask({ operationId, taskId: 'capture', spec })).toMatchObject({ started: true });
  expect(await endOf(client, operationId, 'capture')).toMatchObject({ state: TaskState.SUCCEEDED });
});

test('an image that was taken under a hold that was lost, or under an earlier one, is not published', async () => {
  const operationId = await claim();
  const setId = set();
  const talk = talkAbout(client, acquire(operationId));
  const { connectionId } = await talk.hear('acquired');
  expect(await done(client, operationId, captureOf(setId))).toMatchObject({ state: TaskState.SUCCEEDED });
  await node.server.sql(`KILL ${connectionId}`);
  await talk.hear('failed');
  expect(await done(client, operationId, publishOf(setId))).toMatchObject({ state: TaskState.FAILED, error: { code: 'HOLD_LOST' } });
  expect(setsIn(node.repository)).not.toContain(setId);

  const other = set();
  const capture = { operationId, taskId: 'again', spec: captureOf(other) };
  await talkAbout(client, acquire(operationId)).hear('acquired');
  await client.startTask(capture);
  expect(await endOf(client, operationId, 'again')).toMatchObject({ state: TaskState.SUCCEEDED });
  await talkAbout(client, acquire(operationId)).hear('acquired');
  await client.startTask({ operationId, taskId: 'publish-again', spec: publishOf(other) });
  expect(await endOf(client, operationId, 'publish-again')).toMatchObject({ state: TaskState.FAILED, error: { code: 'HOLD_LOST' } });
  expect(setsIn(node.repository)).not.toContain(other);
});

test('what is unknown is said to be', async () => {
  const operationId = await claim();
  expect(await failureOf(watched(client, operationId, 'capture'))).toMatchObject({ code: 'TASK_UNKNOWN' });
  expect(await failureOf(watched(client, operation(), 'capture'))).toMatchObject({ code: 'TASK_UNKNOWN' });
  expect(await failureOf(client.cancelTask({ operationId, taskId: 'capture' }))).toMatchObject({ code: 'TASK_UNKNOWN' });
});

test('work of a restore goes on without its controller, and keeps the node; then the claim ends and the restore is there to be decided', async () => {
  const gate = node.gate('mariadb-backup', '--prepare');
  gates.push(gate);
  const { setId } = backup;
  const operationId = await claim('restore', 1_000);
  const spec = stageOf(setId, backup.partSha256);
  await client.startTask({ operationId, taskId: 'stage', spec });
  await gate.reached();
  const asked = { operationId: operation('verify'), kind: 'verify', owner: 'somebody' };
  const busy = await eventually(async () => {
    const error = await failureOf(client.claimNode(asked));
    return error.message.includes('controller is gone') ? error : undefined;
  });
  expect(busy).toMatchObject({ code: 'NODE_BUSY', message: expect.stringContaining('its work on this node goes on') });
  gate.open();
  expect(await endOf(client, operationId, 'stage')).toMatchObject({ state: TaskState.SUCCEEDED });
  await eventually(async () => (await client.describeNode({})).facts?.claim === undefined);

  const refused = async (kind: 'backup' | 'restore') =>
    failureOf(client.claimNode({ operationId: operation(kind), kind, owner: 'somebody' }));
  for (const kind of ['backup', 'restore'] as const) {
    expect(await refused(kind)).toMatchObject({ code: 'RESTORE_UNFINISHED', message: expect.stringContaining(`${operationId} is staged`) });
  }
  expect(await done(client, await claim('verify'), verifyOf(setId))).toMatchObject({ state: TaskState.SUCCEEDED });
  await client.releaseNode({ operationId: mine.pop() ?? '' });

  await client.claimNode({ operationId, kind: 'restore', owner: 'tester again', ttl: durationFromMs(60_000) });
  expect(await client.startTask({ operationId, taskId: 'stage', spec })).toMatchObject({ state: TaskState.SUCCEEDED, started: false });
  expect(await done(client, operationId, { task: { case: 'rollback', value: {} } })).toMatchObject({ state: TaskState.SUCCEEDED });
  await client.releaseNode({ operationId });
  await backUp(client);
});
