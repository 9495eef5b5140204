import { durationFromMs, durationMs } from '@bufbuild/protobuf/wkt';
import { HoldPhase } from '@stillpoint/shared/proto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ATTEST, acquire, advance, attach, type HoldTalk, RELEASE, RENEW, type Terms, talkAbout } from '../agent-core/hold-talk.ts';
import { type AgentClient, operation } from '../agent-core/node.ts';
import { eventually } from '../harness/eventually.ts';
import { killQuietly, ownProcesses } from '../harness/processes.ts';
import { type GuardedNode, type Observer, startGuardedNode } from './guarded-node.ts';
import { type Replicating, replicateInParallel } from './parallel-replica.ts';

const LEASE_MS = 3_000;
/** What a silent agent costs writers beyond its lease: the guardian's own margin, and programs of the double, which are slow to start. */
const MARGIN_MS = 6_000;

let node: GuardedNode;
let client: AgentClient;
let observer: Observer;
let op: string;

beforeAll(async () => {
  node = await startGuardedNode();
  await node.server.sql('CREATE TABLE shop.guarded (id INT AUTO_INCREMENT PRIMARY KEY)');
});
beforeEach(async () => {
  observer = node.observe();
  client = node.connect().client;
  op = await claim();
});
afterEach(async () => {
  // Also after a test that failed: the next one begins with a node that nobody owns.
  await node.process.kill('SIGCONT');
  await node.process.start();
  await node.connect().client.releaseNode({ operationId: op });
  await observer.stop();
});
afterAll(() => node?.remove());

async function claim(): Promise<string> {
  const id = operation();
  await client.claimNode({ operationId: id, kind: 'backup', owner: 'tester', ttl: durationFromMs(60_000) });
  return id;
}

const stalled = (): Promise<boolean> =>
  node.server.sql(`SELECT 1 FROM information_schema.processlist WHERE state = 'Waiting for backup lock'`).then((rows) => rows.length > 0);

/** Connections of the agent and its guardian that hold the global read lock. */
const lockHolders = (): Promise<readonly number[]> =>
  node.server
    .sql(`SELECT thread_id AS id FROM information_schema.metadata_lock_info WHERE lock_mode = 'MDL_BACKUP_FTWRL2' ORDER BY thread_id`)
    .then((rows) => rows.map(({ id }) => Number(id)));

/** A hold under which the engine is read-only and a writer waits. Every test begins with one that goes well. */
async function suspended(terms: Terms = {}): Promise<{ readonly talk: HoldTalk; readonly connectionId: number }> {
  const talk = talkAbout(client, acquire(op, terms));
  const { connectionId } = await talk.hear('acquired');
  const renewing = setInterval(() => talk.say(RENEW), 200);
  try {
    await eventually(stalled);
    for (const phase of [HoldPhase.DRAIN, HoldPhase.SUSPEND, HoldPhase.FLUSH]) {
      talk.say(advance(phase));
      await talk.hear('advanced');
    }
  } finally {
    clearInterval(renewing);
  }
  expect(node.double.state().readOnly).toBe(true);
  await eventually(() => node.isConfirmed());
  return { talk, connectionId: Number(connectionId) };
}

/** What must be true in the end, whatever has happened. */
async function everythingIsUndone(): Promise<void> {
  await writersWentOn();
  await eventually(() => node.guardians().length === 0);
  await eventually(() => !node.isRecorded());
}

/** All that clients notice. */
async function writersWentOn(): Promise<void> {
  const { written } = observer;
  await eventually(() => observer.written > written + 5);
  expect(observer.violations).toEqual([]);
  expect(node.double.state()).toMatchObject({ readOnly: false, locks: [] });
  await eventually(async () => (await lockHolders()).length === 0);
}

/** Waits until writers go on, which must be soon enough. */
async function wentOnInTime(): Promise<void> {
  const since = performance.now();
  const { written } = observer;
  await eventually(() => observer.written > written);
  expect(performance.now() - since).toBeLessThan(LEASE_MS + MARGIN_MS);
}

const guardian = (): number => {
  const [only, ...others] = node.guardians();
  if (only === undefined || others.length > 0) throw new Error(`there are ${others.length + (only === undefined ? 0 : 1)} guardians`);
  return only.pid;
};

test('released as asked: the engine first, the locks second, and everything is told', async () => {
  const { talk } = await suspended();
  expect(await lockHolders()).toHaveLength(2);
  talk.say(ATTEST);
  const { engine } = await talk.hear('attested');
  expect(engine?.controllerPid).toBe(node.double.primary.pid('controllernode'));
  talk.say(RELEASE);
  const { engineResume, stuckLocks } = await talk.hear('released');
  expect(engineResume && durationMs(engineResume)).toBeGreaterThan(0);
  expect(stuckLocks).toEqual([]);
  await everythingIsUndone();
  expect(node.journal(op).map(({ type }) => type)).toEqual(['claimed', 'held', 'suspended', 'resumed', 'let-go']);
});

describe('the order holds, and everything is undone, when', () => {
  test('the agent is killed', async () => {
    await suspended();
    await node.process.kill('SIGKILL');
    await everythingIsUndone();
  });

  test('the agent is killed before anything is suspended', async () => {
    const talk = talkAbout(client, acquire(op));
    await talk.hear('acquired');
    await eventually(stalled);
    await node.process.kill('SIGKILL');
    await everythingIsUndone();
  });

  test('the agent is killed while the engine is just being suspended: the flag does not come later', async () => {
    const talk = talkAbout(client, acquire(op));
    await talk.hear('acquired');
    await eventually(stalled);
    talk.say(advance(HoldPhase.DRAIN));
    await talk.hear('advanced');
    await node.double.primary.run('dbrmctl', ['halt']);
    talk.say(advance(HoldPhase.SUSPEND));
    const suspending = () => ownProcesses().filter(({ argv }) => argv.includes('dbrmctl') && argv.includes('readonly'));
    await eventually(() => suspending().length > 0);
    await node.process.kill('SIGKILL');
    await eventually(() => suspending().length === 0);
    await node.double.primary.run('dbrmctl', ['resume']);
    await writersWentOn();
    // In controllernode it may be waiting in line yet.
    expect(node.isRecorded()).toBe(true);
  });

  /** A hold that asks for the flag while controllernode answers for its status alone. */
  async function suspendingInVain(): Promise<HoldTalk> {
    const talk = talkAbout(client, acquire(op));
    await talk.hear('acquired');
    await eventually(stalled);
    talk.say(advance(HoldPhase.DRAIN));
    await talk.hear('advanced');
    node.double.fault({ slaveLock: 'held' });
    talk.say(advance(HoldPhase.SUSPEND));
    await eventually(() => isQueued('readonly'));
    return talk;
  }
  const isQueued = (command: string): boolean => node.double.state().queued.some((one) => one.command === command);

  test.each(['free', 'unfair'] as const)(
    'the flag waits in line until it was taken back (which is done in an order that is %s)',
    async (then) => {
      await suspendingInVain();
      // To take it back is asked for again and again, while the status says all the time that the engine is read-write.
      await eventually(() => isQueued('readwrite'));
      const { written } = observer;
      await eventually(() => node.double.state().queued.filter(({ command }) => command === 'readwrite').length > 2);
      expect(observer.written).toBe(written);
      node.double.fault({ slaveLock: then });
      await writersWentOn();
      expect(node.isRecorded()).toBe(true);
    },
  );

  test('the agent is killed while the flag waits in line', async () => {
    await suspendingInVain();
    await node.process.kill('SIGKILL');
    await eventually(() => isQueued('readwrite'));
    node.double.fault({ slaveLock: 'unfair' });
    await writersWentOn();
    // Its guardian watches for the flag still; the next life of the agent does that in its place.
    expect(node.isRecorded()).toBe(true);
    await node.process.start();
    await eventually(() => node.guardians().length === 0);
    await node.double.primary.run('dbrmctl', ['readonly']);
    await eventually(() => !node.double.state().readOnly);
    await eventually(() => !node.isRecorded());
  });

  test('the agent is frozen for longer than its lease, and thaws', async () => {
    await suspended({ leaseMs: LEASE_MS });
    await node.process.kill('SIGSTOP');
    await wentOnInTime();
    await everythingIsUndone();
    await node.process.kill('SIGCONT');
    const last = talkAbout(client, attach(op));
    expect(await last.hear('failed')).toMatchObject({ code: 'LEASE_EXPIRED' });
  });

  test('the agent is stopped', async () => {
    const { talk } = await suspended();
    await node.process.kill('SIGTERM');
    expect(await talk.hear('failed')).toMatchObject({ code: 'HOLD_LOST' });
    await everythingIsUndone();
  });

  test('whoever stops it asks the guardian to end too', async () => {
    await suspended();
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) killQuietly(guardian(), signal);
    await node.process.kill('SIGTERM');
    await everythingIsUndone();
  });

  test('the controller falls silent', async () => {
    const { talk } = await suspended({ leaseMs: LEASE_MS });
    await wentOnInTime();
    expect(await talk.hear('failed')).toMatchObject({ code: 'LEASE_EXPIRED' });
    await everythingIsUndone();
  });

  test('the guardian is killed', async () => {
    const { talk } = await suspended();
    killQuietly(guardian(), 'SIGKILL');
    expect(await talk.hear('failed')).toMatchObject({ code: 'HOLD_LOST', message: expect.stringContaining('guardian') });
    await everythingIsUndone();
  });

  test('the guardian is frozen', async () => {
    const { talk } = await suspended({ leaseMs: LEASE_MS });
    killQuietly(guardian(), 'SIGSTOP');
    const over = new AbortController();
    void talk.end.then(() => over.abort());
    await eventually(() => {
      talk.say(RENEW);
      return over.signal.aborted;
    });
    expect(await talk.hear('failed')).toMatchObject({ code: 'HOLD_LOST', message: expect.stringContaining('guardian') });
    await everythingIsUndone();
  });

  test.each(['agent', 'guardian'])('the server drops the lock of the %s', async (whose) => {
    const { talk, connectionId } = await suspended();
    const ids = await lockHolders();
    const victim = whose === 'agent' ? connectionId : ids.find((id) => id !== connectionId);
    await node.server.sql(`KILL ${victim}`);
    expect(await talk.hear('failed')).toMatchObject({ code: 'HOLD_LOST' });
    await everythingIsUndone();
  });
});

test('an agent that is started while its guardian is at work waits for it', async () => {
  await suspended();
  node.double.fault({ dbrmctlFails: { readwrite: 4 } });
  await node.process.kill('SIGKILL');
  await node.process.start();
  await everythingIsUndone();
  expect(node.process.log()).toContain('waiting for its end');
});

test('both killed at once: the next start of the agent undoes the suspension, and says so', async () => {
  await suspended();
  const pid = guardian();
  killQuietly(pid, 'SIGSTOP');
  await node.process.kill('SIGKILL');
  killQuietly(pid, 'SIGKILL');
  await eventually(() => node.guardians().length === 0);
  expect(node.double.state().readOnly).toBe(true);
  await node.process.start();
  await eventually(() => !node.double.state().readOnly);
  expect(node.process.log()).toContain('suspended by an operation that is over');
  // Nothing could be done for whoever was waiting.
  await observer.stop();
  observer = node.observe();
  await everythingIsUndone();
});

test('an engine that others made read-only is refused before any writer waits, and stays as it is', async () => {
  await node.double.primary.run('dbrmctl', ['readonly']);
  await observer.stop();
  const talk = talkAbout(client, acquire(op));
  expect(await talk.hear('failed')).toMatchObject({ code: 'ENGINE_READ_ONLY' });
  expect(node.double.state().readOnly).toBe(true);
  expect(node.guardians()).toEqual([]);
  expect(node.journal(op).map(({ type }) => type)).not.toContain('held');
  await client.releaseNode({ operationId: op });
  await node.process.kill('SIGKILL');
  await node.process.start();
  expect(node.double.state().readOnly).toBe(true);
  await node.double.primary.run('dbrmctl', ['readwrite']);
});

describe('on a replica that replicates in parallel, where the server grants no second lock, the order holds when', () => {
  let replicating: Replicating;
  beforeAll(async () => {
    replicating = await replicateInParallel(node.server);
  });
  afterAll(() => replicating?.end());

  test('it is released as asked', async () => {
    const { talk } = await suspended();
    expect(await lockHolders()).toHaveLength(1);
    talk.say(ATTEST);
    await talk.hear('attested');
    talk.say(RELEASE);
    await talk.hear('released');
    await everythingIsUndone();
  });

  test('the agent is killed', async () => {
    await suspended();
    await node.process.kill('SIGKILL');
    await everythingIsUndone();
  });

  test('the agent is frozen for longer than its lease', async () => {
    await suspended({ leaseMs: LEASE_MS });
    await node.process.kill('SIGSTOP');
    await wentOnInTime();
    await everythingIsUndone();
  });

  test('the guardian is killed', async () => {
    const { talk } = await suspended();
    killQuietly(guardian(), 'SIGKILL');
    expect(await talk.hear('failed')).toMatchObject({ code: 'HOLD_LOST' });
    await everythingIsUndone();
  });
});

test('an engine without a server of its own is resumed as well when the agent is killed', async () => {
  const bare = await startGuardedNode({ server: false });
  try {
    const { client: other } = bare.connect();
    await other.claimNode({ operationId: op, kind: 'backup', owner: 'tester', ttl: durationFromMs(60_000) });
    const talk = talkAbout(other, acquire(op));
    expect(await talk.hear('acquired')).toMatchObject({ connectionId: 0n });
    for (const phase of [HoldPhase.DRAIN, HoldPhase.SUSPEND]) {
      talk.say(advance(phase));
      await talk.hear('advanced');
    }
    expect(bare.double.state().readOnly).toBe(true);
    await eventually(() => bare.isConfirmed());
    await bare.process.kill('SIGKILL');
    await eventually(() => !bare.double.state().readOnly);
    await eventually(() => !bare.isRecorded());
  } finally {
    await bare.remove();
  }
});

test('after all that a hold is as good as the first', async () => {
  const { talk } = await suspended();
  talk.say(ATTEST);
  await talk.hear('attested');
  talk.say(RELEASE);
  await talk.hear('released');
  await everythingIsUndone();
});
