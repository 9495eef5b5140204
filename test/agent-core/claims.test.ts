import { durationFromMs, durationMs } from '@bufbuild/protobuf/wkt';
import type { StillpointError } from '@stillpoint/shared/errors';
import { TaskState } from '@stillpoint/shared/proto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import type { Gate } from '../harness/gates.ts';
import { drain, failureOf } from '../harness/served.ts';
import { backUp, captureOf, claimed, endOf, verifyOf } from './backup.ts';
import { acquire, attach, type HoldTalk, talkAbout } from './hold-talk.ts';
import { type AgentClient, operation, set, setsIn, startNode, type TestNode } from './node.ts';

let node: TestNode;
let client: AgentClient;
const mine: string[] = [];
const gates: Gate[] = [];
beforeAll(async () => {
  node = await startNode();
  client = node.connect().client;
});
afterEach(async () => {
  for (const gate of gates.splice(0)) gate.open();
  for (const operationId of mine.splice(0)) await client.releaseNode({ operationId });
  expect(await owner()).toBeUndefined();
});
afterAll(() => node?.remove());

async function claim(...options: Parameters<typeof claimed> extends [unknown, ...infer Rest] ? Rest : never): Promise<string> {
  const operationId = await claimed(client, ...options);
  mine.push(operationId);
  return operationId;
}

const owner = async () => (await client.describeNode({})).facts?.claim;
const insert = () => node.server.sql('INSERT INTO shop.markers (name) VALUES (UUID())');

/** An operation in the middle of its capture: held, snapshots open, a half part on disk, a ticket out. */
async function inTheMiddle(ttlMs: number): Promise<{ operationId: string; setId: string; talk: HoldTalk; ticket: string }> {
  const gate = node.gate('zstd', '-T0');
  gates.push(gate);
  const setId = set();
  const operationId = await claim('backup', ttlMs);
  const talk = talkAbout(client, acquire(operationId, { checksums: true }));
  await talk.hear('acquired');
  await client.startTask({ operationId, taskId: 'capture', spec: captureOf(setId) });
  await gate.reached();
  const { ticket } = await client.grantSeed({ operationId, setId });
  expect(setsIn(node.repository)).toContain(setId);
  expect(await node.sessions()).toBeGreaterThanOrEqual(3);
  return { operationId, setId, talk, ticket };
}

/** Nothing of an operation that has ended is left. */
async function expectNothingLeft({ operationId, setId, ticket }: { operationId: string; setId: string; ticket: string }): Promise<void> {
  await eventually(async () => (await owner()) === undefined);
  await insert();
  expect(setsIn(node.repository)).not.toContain(setId);
  expect(await failureOf(drain(client.fetchShard({ ticket, shard: 'part.json' })))).toMatchObject({ code: 'TICKET_REFUSED' });
  expect(await failureOf(talkAbout(client, attach(operationId)).end.then((error) => Promise.reject(error)))).toMatchObject({
    code: 'HOLD_LOST',
  });
  await eventually(async () => (await node.sessions()) === 0);
  expect(node.journal(operationId).at(-1)).toMatchObject({ type: 'released' });
  await backUp(client);
}

test('a second operation is told whose the node is, since when, and for how long', async () => {
  const first = await claim();
  const second = operation('restore');
  const asked = { operationId: second, kind: 'restore', owner: 'somebody@else, pid 2' };
  const busy = await failureOf(client.claimNode(asked));
  expect(busy).toMatchObject({ code: 'NODE_BUSY', node: 'db1' });
  for (const word of [first, 'backup', 'tester@here, pid 1']) expect(busy.message).toContain(word);
  expect(busy.message).toMatch(/since 20\d\d-\S+; unless renewed, its claim runs out in \d/);
  await client.releaseNode({ operationId: second });
  expect(await owner()).toMatchObject({ operationId: first });
  await client.releaseNode({ operationId: first });
  expect((await client.claimNode(asked)).claim).toMatchObject(asked);
  mine.push(second);
});

test('a kind of operation that nobody knows gets no node', async () => {
  const asked = { operationId: operation(), owner: 'tester' };
  for (const kind of ['', 'bakup', 'x'.repeat(10_000)]) {
    const refused = await failureOf(client.claimNode({ ...asked, kind }));
    expect(refused).toMatchObject({ code: 'USAGE' });
    expect(refused.message.length).toBeLessThan(200);
  }
});

test('claiming again is the same claim, lives on, and runs out when nobody claims again', async () => {
  const operationId = await claim('verify', 1_500);
  const since = (await owner())?.since;
  const began = performance.now();
  await eventually(async () => {
    const again = await client.claimNode({ operationId, kind: 'verify', owner: 'tester@here, pid 1', ttl: durationFromMs(1_500) });
    expect(again.claim?.since).toEqual(since);
    expect(again.claim?.expiresIn && durationMs(again.claim.expiresIn)).toBeGreaterThan(1_000);
    return performance.now() - began > 3_000;
  });
  await eventually(async () => (await owner()) === undefined);
  expect(node.journal(operationId).map(({ type }) => type)).toEqual(['claimed', 'released']);
});

test('a claim that runs out takes everything of its operation with it, and whoever still listens is told why', async () => {
  const left = await inTheMiddle(5_000);
  const captured = endOf(client, left.operationId, 'capture');
  expect(await left.talk.hear('failed')).toMatchObject({ code: 'CLAIM_MISSING' });
  expect(await captured).toMatchObject({ state: TaskState.CANCELLED, error: { node: 'db1' } });
  for (const gate of gates.splice(0)) gate.open();
  await expectNothingLeft(left);
  const again = { operationId: left.operationId, kind: 'backup', owner: 'tester@here, pid 1' };
  expect(await failureOf(client.claimNode(again))).toMatchObject({ code: 'CLAIM_MISSING' });
});

test('a node that is given back is free of everything by the time of the answer', async () => {
  const left = await inTheMiddle(60_000);
  const captured = endOf(client, left.operationId, 'capture');
  await client.releaseNode({ operationId: left.operationId });
  expect(await owner()).toBeUndefined();
  expect(await captured).toMatchObject({ state: TaskState.CANCELLED });
  await left.talk.hear('released');
  for (const gate of gates.splice(0)) gate.open();
  await expectNothingLeft(left);
});

describe('without the claim', () => {
  const calls: [name: string, call: (operationId: string) => Promise<unknown>][] = [
    ['no task starts', (operationId) => client.startTask({ operationId, taskId: 'verify', spec: verifyOf(set()) })],
    ['no task is cancelled', (operationId) => client.cancelTask({ operationId, taskId: 'verify' })],
    ['no set is committed', (operationId) => client.commitSet({ operationId, setId: set() })],
    ['no part is deleted', (operationId) => client.deletePart({ operationId, setId: set() })],
    ['no ticket is granted', (operationId) => client.grantSeed({ operationId, setId: set() })],
    ['no hold is taken', async (operationId) => Promise.reject(await talkAbout(client, acquire(operationId)).end)],
  ];
  test.each(calls)('%s', async (_, call) => {
    await claim();
    const stranger = operation();
    const refused = await failureOf(call(stranger));
    expect(refused).toMatchObject({ code: 'CLAIM_MISSING' });
    expect(refused.message).toContain(stranger);
  });
});

describe('what is no id', () => {
  const BAD = [
    '',
    '.',
    '..',
    '../../etc/passwd',
    '/etc/passwd',
    'a/b',
    '.hidden',
    'white space',
    'new\nline',
    'newline\n',
    'nul\0',
    'ü',
    'x'.repeat(65),
    'x'.repeat(100_000),
  ];
  test.each(BAD.map((bad) => [JSON.stringify(bad).slice(0, 30), bad]))('%s is refused everywhere', async (_, bad) => {
    const own = await claim();
    const calls: Promise<unknown>[] = [
      client.claimNode({ operationId: bad, kind: 'backup', owner: 'me' }),
      client.releaseNode({ operationId: bad }),
      client.startTask({ operationId: bad, taskId: 'verify', spec: verifyOf(set()) }),
      client.startTask({ operationId: own, taskId: bad, spec: verifyOf(set()) }),
      drain(client.watchTask({ operationId: bad, taskId: 'verify' })),
      drain(client.watchTask({ operationId: own, taskId: bad })),
      client.cancelTask({ operationId: bad, taskId: 'verify' }),
      client.cancelTask({ operationId: own, taskId: bad }),
      client.readPart({ setId: bad }),
      client.commitSet({ operationId: bad, setId: set() }),
      client.commitSet({ operationId: own, setId: bad }),
      client.deletePart({ operationId: bad, setId: set() }),
      client.deletePart({ operationId: own, setId: bad }),
      client.grantSeed({ operationId: bad, setId: set() }),
      client.grantSeed({ operationId: own, setId: bad }),
      ...[acquire(bad), attach(bad)].map(async (request) => Promise.reject(await talkAbout(client, request).end)),
    ];
    for (const call of calls) {
      const refused = await failureOf(call);
      expect(refused).toMatchObject({ code: 'USAGE' });
      expect(refused.message.length).toBeLessThan(200);
    }
  });

  test('a set id in the content of a task is refused by the task', async () => {
    const operationId = await claim('verify');
    await client.startTask({ operationId, taskId: 'verify', spec: verifyOf('../../etc') });
    expect(await endOf(client, operationId, 'verify')).toMatchObject({ state: TaskState.FAILED, error: { code: 'USAGE' } });
  });

  test('a task without content is refused', async () => {
    const operationId = await claim();
    for (const spec of [{}, { spec: {} }]) {
      expect(await failureOf(client.startTask({ operationId, taskId: 'verify', ...spec }))).toMatchObject({ code: 'USAGE' });
    }
  });
});

test('another agent may fetch what its ticket names, and nothing else', async () => {
  const { setId } = await backUp(client);
  const operationId = await claim();
  const { ticket } = await client.grantSeed({ operationId, setId });
  const peer = node.connectAsAgent().client;
  const ids = { operationId, setId, taskId: 'verify' };
  const refusals: Record<string, Promise<unknown>> = {
    describeNode: peer.describeNode({}),
    checkNode: peer.checkNode({}),
    claimNode: peer.claimNode({ ...ids, kind: 'backup', owner: 'me' }),
    releaseNode: peer.releaseNode(ids),
    hold: talkAbout(peer, acquire(operationId)).end.then((error) => Promise.reject(error)),
    startTask: peer.startTask({ ...ids, spec: verifyOf(setId) }),
    watchTask: drain(peer.watchTask(ids)),
    cancelTask: peer.cancelTask(ids),
    listSets: drain(peer.listSets({})),
    readPart: peer.readPart(ids),
    commitSet: peer.commitSet(ids),
    deletePart: peer.deletePart(ids),
    protectSet: peer.protectSet(ids),
    cleanNode: drain(peer.cleanNode(ids)),
    grantSeed: peer.grantSeed(ids),
  };
  const codes = await Promise.all(Object.entries(refusals).map(async ([call, refusal]) => [call, (await failureOf(refusal)).code]));
  expect(Object.fromEntries(codes)).toEqual(Object.fromEntries(Object.keys(refusals).map((call) => [call, 'ROLE_REFUSED'])));
  expect([...Object.keys(refusals), 'fetchShard'].sort()).toEqual(Object.keys(peer).sort());

  const [part] = await drain(peer.fetchShard({ ticket, shard: 'part.json' }));
  expect(part?.data).toEqual((await client.readPart({ setId })).manifest);
  const fetching = (over: { ticket?: string; shard?: string }): Promise<StillpointError> =>
    failureOf(drain(peer.fetchShard({ ticket, shard: 'part.json', ...over })));
  expect(await fetching({ ticket: '' })).toMatchObject({ code: 'TICKET_REFUSED' });
  expect(await fetching({ ticket: ticket.toUpperCase() })).toMatchObject({ code: 'TICKET_REFUSED' });
  expect(await fetching({ shard: '../set.json' })).toMatchObject({ code: 'TICKET_REFUSED' });
});
