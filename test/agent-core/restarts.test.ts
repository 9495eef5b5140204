import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import { TaskState } from '@stillpoint/shared/proto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { runStillpoint } from '../harness/cli.ts';
import { eventually } from '../harness/eventually.ts';
import { freePort } from '../harness/mariadb-server.ts';
import { ownProcesses } from '../harness/processes.ts';
import { failureOf } from '../harness/served.ts';
import type { Writer } from '../harness/writer.ts';
import { backUp, captureOf, claimed, done, endOf, publishOf, stageOf, verifyOf } from './backup.ts';
import { acquire, attach, type HoldTalk, RENEW, type Terms, talkAbout } from './hold-talk.ts';
import { type AgentClient, set, setsIn, startNode, type TestNode } from './node.ts';

/** What a frozen agent may cost a writer: the lease, and this. It is a promise, so it is asserted. */
const MARGIN_MS = 2_000;
/** A lease that nobody could have waited for, and a bound that shows so on a busy machine. */
const LONG_LEASE_MS = 60_000;
const AT_ONCE_MS = 10_000;

let node: TestNode;
let client: AgentClient;
let writer: Writer;
beforeAll(async () => {
  node = await startNode();
  writer = node.writer();
});
beforeEach(() => {
  client = node.connect().client;
});
afterEach(async () => {
  await node.process.kill('SIGCONT');
  await node.process.start();
  await writersGoOn();
  const { claim } = (await client.describeNode({})).facts ?? {};
  if (claim !== undefined) await client.releaseNode({ operationId: claim.operationId });
  await backUp(client);
});
afterAll(async () => {
  await writer?.stop();
  await node?.remove();
});

async function writersGoOn(): Promise<void> {
  const { last } = writer;
  await eventually(() => writer.last > last + 2);
}

const stalled = async (): Promise<boolean> =>
  (await node.server.sql(`SELECT 1 FROM information_schema.processlist WHERE user = 'app' AND state = 'Waiting for backup lock'`)).length >
  0;

/** An operation that holds, and whose writer waits. */
async function held(terms: Terms = {}): Promise<{ operationId: string; talk: HoldTalk }> {
  const operationId = await claimed(client);
  const talk = talkAbout(client, acquire(operationId, terms));
  await talk.hear('acquired');
  await eventually(stalled);
  return { operationId, talk };
}

/** An operation in the middle of its capture, which waits at a gate that opens with the test's end. */
async function capturing(): Promise<{ operationId: string; setId: string; talk: HoldTalk }> {
  const gate = node.gate('zstd', '-T0');
  const { operationId, talk } = await held();
  const setId = set();
  await client.startTask({ operationId, taskId: 'capture', spec: captureOf(setId) });
  await gate.reached();
  expect(setsIn(node.repository)).toContain(setId);
  // Whoever stands there is killed with or after its agent: it need not wait for that.
  gate.open();
  return { operationId, setId, talk };
}

async function restart(): Promise<void> {
  await node.process.kill('SIGKILL');
  await node.process.start();
}

const types = (operationId: string): string[] => node.journal(operationId).map(({ type }) => type);

describe('an agent that is killed', () => {
  test('while it holds takes the lock with it at once', async () => {
    const { operationId, talk } = await held({ leaseMs: LONG_LEASE_MS });
    const window = writer.window();
    await node.process.kill('SIGKILL');
    await writersGoOn();
    expect(window().longestMs).toBeLessThan(AT_ONCE_MS);
    expect(window().errors).toEqual([]);
    expect(await talk.end).toMatchObject({ code: 'CONNECTION_LOST' });

    await node.process.start();
    expect(types(operationId)).toEqual(['claimed', 'held', 'released']);
    expect((await client.describeNode({})).facts?.claim).toBeUndefined();
    expect(await talkAbout(client, attach(operationId)).end).toMatchObject({ code: 'HOLD_LOST' });
    const again = { operationId, kind: 'backup', owner: 'tester' };
    expect(await failureOf(client.claimNode(again))).toMatchObject({ code: 'CLAIM_MISSING' });
  });

  test('while it captures leaves no part, and tells that it was interrupted', async () => {
    const gate = node.gate('zstd', '-T0');
    const { operationId } = await held();
    const setId = set();
    await client.startTask({ operationId, taskId: 'capture', spec: captureOf(setId) });
    await gate.reached();
    await node.process.kill('SIGKILL');
    expect(setsIn(node.repository)).toContain(setId);
    await node.process.start();
    gate.open();
    expect(setsIn(node.repository)).not.toContain(setId);
    expect(types(operationId)).toEqual(['claimed', 'held', 'task-started', 'task-ended', 'released']);
    expect(await endOf(client, operationId, 'capture')).toMatchObject({
      state: TaskState.INTERRUPTED,
      error: { code: 'TASK_INTERRUPTED', node: 'db1' },
    });
    await eventually(() => !ownProcesses().some(({ argv }) => /mariadb-backup|zstd/.test(argv.join(' '))));
  });

  test('between publishing and commit leaves no part, and keeps a committed one', async () => {
    const { setId: kept } = await backUp(client);
    const { operationId, talk } = await held();
    const setId = set();
    expect(await done(client, operationId, captureOf(setId))).toMatchObject({ state: TaskState.SUCCEEDED });
    talk.say({ case: 'release', value: {} });
    await talk.hear('released');
    expect(await done(client, operationId, publishOf(setId))).toMatchObject({ state: TaskState.SUCCEEDED });
    await restart();
    expect(setsIn(node.repository)).not.toContain(setId);
    expect(setsIn(node.repository)).toContain(kept);
  });
});

test('results are told after a restart as they were before, to the last byte; what succeeded is not done again', async () => {
  const { operationId, setId, captured, published } = await backUp(client);
  const verifying = await claimed(client, 'verify');
  const verified = await done(client, verifying, verifyOf(setId));
  await restart();
  expect(await endOf(client, operationId, 'capture')).toEqual(captured);
  expect(await endOf(client, operationId, 'publish')).toEqual(published);
  expect(await endOf(client, verifying, 'verify')).toEqual(verified);

  const again = { operationId: verifying, taskId: 'verify', spec: verifyOf(setId) };
  expect(await failureOf(client.startTask(again))).toMatchObject({ code: 'CLAIM_MISSING' });
  await client.claimNode({ operationId: verifying, kind: 'verify', owner: 'tester', ttl: durationFromMs(60_000) });
  expect(await client.startTask(again)).toMatchObject({ state: TaskState.SUCCEEDED, started: false });
  expect(await failureOf(client.startTask({ ...again, spec: verifyOf(set()) }))).toMatchObject({ code: 'TASK_CONFLICT' });
});

test('a stage that was interrupted leaves nothing, and may be started again', async () => {
  const { setId, partSha256 } = await backUp(client);
  const gate = node.gate('mariadb-backup', '--prepare');
  const operationId = await claimed(client, 'restore');
  const task = { operationId, taskId: 'stage', spec: stageOf(setId, partSha256) };
  await client.startTask(task);
  await gate.reached();
  expect((await client.describeNode({})).facts?.unfinishedRestore).toBe(operationId);
  await restart();
  gate.open();
  expect(await endOf(client, operationId, 'stage')).toMatchObject({ state: TaskState.INTERRUPTED });
  expect((await client.describeNode({})).facts?.unfinishedRestore).toBe('');
  await client.claimNode({ operationId, kind: 'restore', owner: 'tester', ttl: durationFromMs(60_000) });
  expect(await client.startTask(task)).toMatchObject({ started: true });
  expect(await endOf(client, operationId, 'stage')).toMatchObject({ state: TaskState.SUCCEEDED });
  expect(await done(client, operationId, { task: { case: 'rollback', value: {} } })).toMatchObject({ state: TaskState.SUCCEEDED });
});

test('a journal whose last line is torn is read up to there, and written on', async () => {
  const { operationId, setId, captured } = await backUp(client);
  const verifying = await claimed(client, 'verify');
  const file = join(node.stateDir, 'operations', `${verifying}.jsonl`);
  await client.startTask({ operationId: verifying, taskId: 'verify', spec: verifyOf(setId) });
  await endOf(client, verifying, 'verify');
  await node.process.kill('SIGKILL');
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
  const last = lines.at(-1) ?? '';
  expect(last).toContain('task-ended');
  writeFileSync(file, [...lines.slice(0, -1), last.slice(0, last.length / 2)].join('\n'));
  appendFileSync(join(node.stateDir, 'operations', `${operationId}.jsonl`), '{"type":"task-star');
  await node.process.start();
  expect(await endOf(client, verifying, 'verify')).toMatchObject({ state: TaskState.INTERRUPTED });
  expect(await endOf(client, operationId, 'capture')).toEqual(captured);
});

test('an agent that is frozen while it holds is dropped by the server within the lease, and knows when it thaws', async () => {
  const { operationId, talk } = await held({ leaseMs: 2_000 });
  const window = writer.window();
  await node.process.kill('SIGSTOP');
  await writersGoOn();
  expect(window().longestMs).toBeLessThan(2_000 + MARGIN_MS);
  expect(window().errors).toEqual([]);
  await node.process.kill('SIGCONT');
  talk.say(RENEW);
  await talk.end;
  const last = talkAbout(client, attach(operationId));
  expect(['LEASE_EXPIRED', 'HOLD_LOST']).toContain((await last.hear('failed')).code);
});

test('an agent that is stopped lets writers go on, tells so, clears up, and leaves', async () => {
  const { operationId, setId, talk } = await capturing();
  const window = writer.window();
  const stopping = node.process.kill('SIGTERM');
  expect(await talk.hear('failed')).toMatchObject({ code: 'HOLD_LOST', message: 'The agent was stopped', node: 'db1' });
  await writersGoOn();
  await stopping;
  expect(window().longestMs).toBeLessThan(AT_ONCE_MS);
  expect(setsIn(node.repository)).not.toContain(setId);
  expect(types(operationId).at(-1)).toBe('released');
  expect(await node.sessions()).toBe(0);
  await node.process.start();
  const ended = await endOf(client, operationId, 'capture');
  expect([TaskState.INTERRUPTED, TaskState.FAILED]).toContain(ended.state);
});

test('a second agent on the same state directory, or at the same address, does not start', async () => {
  const config = JSON.parse(readFileSync(node.configFile, 'utf8')) as Record<string, unknown>;
  const start = (over: Record<string, unknown>) => {
    const file = join(node.stateDir, '..', 'second.yaml');
    writeFileSync(file, JSON.stringify({ ...config, ...over }));
    return runStillpoint(['agent', 'run', '--config', file]);
  };
  const second = (await start({ listen: `127.0.0.1:${await freePort()}` })).line('error');
  expect(second).toMatchObject({ code: 'NODE_BUSY', message: expect.stringContaining(`pid ${node.process.pid}`) });
  const elsewhere = { stateDir: join(node.stateDir, '..', 'second-state') };
  expect((await start(elsewhere)).line('error')).toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining('EADDRINUSE') });
  expect((await client.describeNode({})).facts?.node).toBe('db1');
});
