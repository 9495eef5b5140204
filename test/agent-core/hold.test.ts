import { create } from '@bufbuild/protobuf';
import { durationFromMs, durationMs } from '@bufbuild/protobuf/wkt';
import { HoldPhase, MariadbPositionSchema } from '@stillpoint/shared/proto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { BLOCKERS, startBlocker } from '../harness/blocker.ts';
import { eventually } from '../harness/eventually.ts';
import type { Writer } from '../harness/writer.ts';
import { ATTEST, acquire, attach, type HoldTalk, RELEASE, RENEW, type Terms, talkAbout } from './hold-talk.ts';
import { type AgentClient, operation, startBareNode, startNode, type TestNode } from './node.ts';

const LEASE_MS = 2_000;
/** What a silent or dead controller may cost a writer: the lease, and this. It is a promise, so it is asserted. */
const MARGIN_MS = 2_000;

let node: TestNode;
let client: AgentClient;
let writer: Writer;
let op: string;
beforeAll(async () => {
  node = await startNode();
  client = node.connect().client;
  writer = node.writer();
});
beforeEach(async () => {
  op = operation();
  await client.claimNode({ operationId: op, kind: 'backup', owner: 'tester', ttl: durationFromMs(60_000) });
});
afterEach(async () => {
  await client.releaseNode({ operationId: op });
  await writersGoOn();
  expect(await node.sessions()).toBe(0);
});
afterAll(async () => {
  await writer?.stop();
  await node?.remove();
});

async function writersGoOn(): Promise<void> {
  const { last } = writer;
  await eventually(() => writer.last > last + 2);
}

async function held(terms: Terms = {}, over: AgentClient = client): Promise<HoldTalk> {
  const talk = talkAbout(over, acquire(op, terms));
  await talk.hear('acquired');
  return talk;
}

const stalled = (): Promise<boolean> =>
  node.server
    .sql(`SELECT 1 FROM information_schema.processlist WHERE user = 'app' AND state = 'Waiting for backup lock'`)
    .then((rows) => rows.length > 0);

/** Waits for the end of a talk: nothing was said after the failure, and nothing is held any more. */
async function failure(talk: HoldTalk): Promise<{ readonly code: string; readonly message: string }> {
  const failed = await talk.hear('failed');
  expect(await talk.end).toBeUndefined();
  expect(talk.heard.at(-1)?.case).toBe('failed');
  expect(failed.node).toBe('db1');
  return failed;
}

test('taken, renewed, attested, released: the position stands still and the writer waits without an error', async () => {
  const window = writer.window();
  const talk = talkAbout(client, acquire(op, { checksums: true }));
  const { connectionId, position, waited } = await talk.hear('acquired');
  expect(connectionId).toBeGreaterThan(0n);
  expect(position?.gtidBinlogPos).toMatch(/^0-1-\d+$/);
  expect(waited && durationMs(waited)).toBeLessThan(5_000);
  await eventually(stalled);
  talk.say(ATTEST);
  talk.say(RENEW);
  await talk.hear('renewed');
  const attested = await talk.hear('attested');
  talk.say(RELEASE);
  expect(attested.connectionId).toBe(connectionId);
  expect(attested.position).toEqual(position ?? create(MariadbPositionSchema));
  const { blocked } = await talk.hear('released');
  expect(blocked && durationMs(blocked)).toBeGreaterThan(0);
  expect(await talk.end).toBeUndefined();
  await writersGoOn();
  expect(window().errors).toEqual([]);
  // Its snapshots stay for the sums, until the operation gives the node back.
  expect(await node.sessions()).toBe(2);
  expect(node.journal(op).map(({ type }) => type)).toEqual(['claimed', 'held', 'let-go']);
});

describe('a controller that is lost', () => {
  test('with its connection costs the writer the lease and no more than two seconds beyond', async () => {
    const connection = node.connect();
    const talk = await held({ leaseMs: LEASE_MS }, connection.client);
    const window = writer.window();
    await eventually(stalled);
    connection.close();
    expect(await talk.end).toMatchObject({ code: 'CANCELLED' });
    await writersGoOn();
    const { longestMs, errors } = window();
    expect(longestMs).toBeLessThan(LEASE_MS + MARGIN_MS);
    expect(errors).toEqual([]);
    const last = talkAbout(client, attach(op));
    expect(await failure(last)).toMatchObject({ code: 'LEASE_EXPIRED' });
  });

  test('but stays connected costs no more, and is told', async () => {
    const talk = await held({ leaseMs: LEASE_MS });
    const window = writer.window();
    await eventually(stalled);
    expect(await failure(talk)).toMatchObject({ code: 'LEASE_EXPIRED', message: expect.stringContaining('for 2.00 s') });
    await writersGoOn();
    expect(window().longestMs).toBeLessThan(LEASE_MS + MARGIN_MS);
  });

  test('while the lock is being waited for leaves nothing pending on the server', async () => {
    const blocker = await startBlocker(node.server, 'root', '', BLOCKERS['a running UPDATE']);
    const connection = node.connect();
    const talk = talkAbout(connection.client, acquire(op, { lockTimeoutMs: 60_000 }));
    await eventually(stalled);
    connection.close();
    await talk.end;
    await writersGoOn();
    await eventually(async () => (await node.sessions()) === 0);
    await blocker.end();
  });
});

test('a stream that breaks does not release: another takes the hold up within the lease', async () => {
  const connection = node.connect();
  const talk = talkAbout(connection.client, acquire(op, { leaseMs: 10_000 }));
  const { connectionId, position } = await talk.hear('acquired');
  connection.close();
  await talk.end;
  const again = talkAbout(client, attach(op), ATTEST);
  expect(await again.hear('acquired')).toMatchObject({ connectionId, position });
  expect(await again.hear('attested')).toMatchObject({ connectionId, position });
  expect(await stalled()).toBe(true);
  again.say(RELEASE);
  await again.hear('released');
});

test('renewals keep it for longer than the lease, but not for longer than the budget', async () => {
  const since = performance.now();
  const talk = await held({ leaseMs: 1_000, maxBlockMs: 3_000 });
  const over = new AbortController();
  void talk.end.then(() => over.abort());
  await eventually(() => {
    talk.say(RENEW);
    return over.signal.aborted;
  });
  expect(await failure(talk)).toMatchObject({ code: 'BLOCK_BUDGET' });
  expect(performance.now() - since).toBeGreaterThan(2_900);
});

test('a session in the way is named, everything is released, and the same operation may ask again', async () => {
  const blocker = await startBlocker(node.server, 'root', '', BLOCKERS['an idle LOCK TABLES WRITE']);
  const talk = talkAbout(client, acquire(op, { lockTimeoutMs: 500 }));
  const failed = await talk.hear('failed');
  expect(failed).toMatchObject({ code: 'LOCK_TIMEOUT', blockers: [{ connectionId: BigInt(blocker.connectionId), user: 'root' }] });
  expect(await talk.end).toBeUndefined();
  await writersGoOn();
  await blocker.end();
  const again = await held();
  again.say(RELEASE);
  await again.hear('released');
});

test('a release is heard while the lock is still being waited for', async () => {
  const blocker = await startBlocker(node.server, 'root', '', BLOCKERS['a running DDL']);
  const talk = talkAbout(client, acquire(op, { lockTimeoutMs: 60_000 }));
  await eventually(stalled);
  talk.say(RELEASE);
  await talk.hear('released');
  expect(talk.heard.map((answer) => answer.case)).toEqual(['released']);
  await writersGoOn();
  await blocker.end();
});

test('a lock that the server takes away is told at once', async () => {
  const talk = talkAbout(client, acquire(op));
  const { connectionId } = await talk.hear('acquired');
  await eventually(stalled);
  await node.server.sql(`KILL ${connectionId}`);
  expect(await failure(talk)).toMatchObject({ code: 'HOLD_LOST' });
});

test('a log that moved under the lock does not attest, and ends the hold', async () => {
  const talk = await held();
  await node.server.sql('FLUSH BINARY LOGS');
  talk.say(ATTEST);
  expect(await failure(talk)).toMatchObject({ code: 'ATTEST_FAILED' });
});

test('the phases of ColumnStore are refused on a node without it, and nothing stays held', async () => {
  const talk = await held();
  talk.say({ case: 'advance', value: { phase: HoldPhase.SUSPEND } });
  expect(await failure(talk)).toMatchObject({ code: 'COLUMNSTORE_UNSUPPORTED' });
});

describe('a talk that makes no sense is refused', () => {
  test.each([
    ['that begins with a renewal', () => [RENEW]],
    ['about a hold without a lease', () => [acquire(op, { leaseMs: 0 })]],
    ['about a hold that would last for years', () => [acquire(op, { maxBlockMs: 1e12 })]],
  ])('%s', async (_, requests) => {
    const talk = talkAbout(client, ...requests());
    expect(await talk.end).toMatchObject({ code: 'USAGE' });
    expect(await stalled()).toBe(false);
  });

  test('that asks for a second hold, which is not taken; the first one keeps its lease', async () => {
    const talk = await held({ leaseMs: LEASE_MS });
    talk.say(acquire(op));
    expect(await talk.end).toMatchObject({ code: 'USAGE' });
    const again = talkAbout(client, attach(op));
    await again.hear('acquired');
    expect(await failure(again)).toMatchObject({ code: 'LEASE_EXPIRED' });
  });

  test('for an operation that does not own the node, or has no hold', async () => {
    const stranger = operation();
    expect(await talkAbout(client, acquire(stranger)).end).toMatchObject({ code: 'CLAIM_MISSING' });
    expect(await talkAbout(client, attach(stranger)).end).toMatchObject({ code: 'HOLD_LOST' });
    expect(await talkAbout(client, attach(op)).end).toMatchObject({ code: 'HOLD_LOST' });
  });
});

test('a node without a server stands still at once and proves it', async () => {
  const bare = await startBareNode();
  try {
    const { client: other } = bare.connect();
    await other.claimNode({ operationId: op, kind: 'backup', owner: 'tester' });
    const talk = talkAbout(other, acquire(op, { checksums: true }), ATTEST);
    expect(await talk.hear('acquired')).toMatchObject({ connectionId: 0n });
    talk.say(RENEW);
    expect(await talk.hear('attested')).toMatchObject({ connectionId: 0n });
    await talk.hear('renewed');
    talk.say(RELEASE);
    const { blocked } = await talk.hear('released');
    expect(blocked && durationMs(blocked)).toBe(0);
    expect(talk.heard.every((answer) => !('position' in answer.value) || answer.value.position === undefined)).toBe(true);
  } finally {
    await bare.remove();
  }
});
