import { create } from '@bufbuild/protobuf';
import { StillpointError } from '@stillpoint/shared/errors';
import { HoldPhase, MariadbPositionSchema } from '@stillpoint/shared/proto';
import { beforeEach, describe, expect, test } from 'vitest';
import { type FakeClock, fakeClock } from '../../../../test/harness/fake-clock.ts';
import type { EngineControl, Stand } from '../columnstore/suspend/index.ts';
import type { Guardian } from '../guardian/index.ts';
import type { LockConnections, ServerLock } from '../mariadb/lock.ts';
import type { Session } from '../mariadb/session.ts';
import type { Snapshots } from '../mariadb/snapshots.ts';
import type { TableSelection } from '../mariadb/tables.ts';
import { lastAnswer } from './answers.ts';
import type { HoldEngine } from './engine.ts';
import { NodeHold } from './node-hold.ts';
import type { HoldServer } from './server.ts';

const STAND: Stand = { configRevision: 7, configSha256: 'ab', controllerPid: 4711, controllerStarted: 99n };
const TERMS = { lockTimeoutMs: 500, leaseMs: 3_000, maxBlockMs: 600_000 };
const PHASE = { timeoutMs: 10_000, refuseCpimport: false };

/** An engine, its server and its guardian, which note what is asked of them in the order of asking. */
class StandIn {
  readonly log: string[] = [];
  readonly clock: FakeClock = fakeClock();
  readonly lockLost = new AbortController();
  readonly guardianLost = new AbortController();
  isPrimary = true;
  mode: 'read-write' | 'read-only' = 'read-write';
  isRecorded = false;
  isConfirmed = false;
  renewed = 0;
  /** What goes wrong. */
  broken: { writable?: StillpointError; guard?: StillpointError; suspend?: StillpointError; resumes?: boolean; holds?: boolean } = {};

  #note(what: string): void {
    this.log.push(what);
  }

  get control(): EngineControl {
    const { clock, broken } = this;
    return {
      driver: 'dbrmctl',
      isPrimary: this.isPrimary,
      requireWritable: async () => {
        if (broken.writable !== undefined) throw broken.writable;
      },
      drain: async () => this.#note('drained'),
      suspend: async ({ beforeFlag, signal }) => {
        if (this.isPrimary) await beforeFlag(STAND);
        signal.throwIfAborted();
        this.#note(this.isPrimary ? 'read-only' : 'seen read-only');
        this.mode = 'read-only';
        if (broken.suspend !== undefined) throw broken.suspend;
        return STAND;
      },
      saveBrm: async () => this.#note('saved'),
      attest: async () => {
        if (broken.holds === false) throw new StillpointError('ATTEST_FAILED', 'controllernode is another one');
        return STAND;
      },
      resume: async ({ timeoutMs }, { mayComeYet } = { mayComeYet: false }) => {
        if (broken.resumes === false) {
          await clock.sleep(timeoutMs);
          throw new StillpointError('RESUME_FAILED', 'it stays read-only');
        }
        this.#note(mayComeYet ? 'read-write for certain' : 'read-write');
        this.mode = 'read-write';
        return { tookMs: 12, way: undefined, stuckLocks: ['d.t is locked'] };
      },
      awaitWritable: async ({ timeoutMs }) => {
        const endsMs = clock.monotonicMs() + timeoutMs;
        while (this.mode === 'read-only' && clock.monotonicMs() < endsMs) await clock.sleep(50);
        if (this.mode === 'read-write' && this.log.at(-1) !== 'seen read-write') this.#note('seen read-write');
        return this.mode === 'read-write';
      },
    };
  }

  get guardian(): Guardian {
    return {
      pid: 1234,
      lost: this.guardianLost.signal,
      lock: async () => this.#note('second lock'),
      renew: () => {
        this.renewed += 1;
      },
      suspending: async () => {
        if (this.broken.guard !== undefined) throw this.broken.guard;
        this.#note('guardian knows');
      },
      suspended: () => undefined,
      unlock: async () => this.#note('guardian unlocks and stays'),
      release: async () => this.#note('guardian let go'),
      ended: Promise.resolve(),
    };
  }

  get engine(): HoldEngine {
    return {
      control: this.control,
      record: {
        write: async () => {
          this.#note('recorded');
          this.isRecorded = true;
        },
        confirm: () => {
          this.isConfirmed = true;
        },
        isThere: async () => this.isRecorded,
        remove: async () => {
          this.isRecorded = false;
        },
      },
      undoer: { begin: async () => this.#note('undoer begins'), stop: async () => undefined },
      startGuardian: async () => {
        this.#note('guardian');
        return this.guardian;
      },
    };
  }

  get server(): HoldServer {
    const session = { descriptor: 9, destroy: () => undefined } as unknown as Session;
    const lock: ServerLock = {
      ...{ connectionId: 7, sources: [], requestedAt: new Date(0), grantedAt: new Date(0), waitedMs: 0, lost: this.lockLost.signal },
      position: create(MariadbPositionSchema, { logBin: true, file: 'bin.000001', offset: 4n }),
      ping: async () => undefined,
      standsAt: async () => true,
      attest: async () => lock.position,
      release: async () => this.#note('unlock'),
    };
    const connections: LockConnections = { holder: session, watcher: session };
    return {
      connect: async () => connections,
      lock: async () => {
        this.#note('lock');
        return lock;
      },
      probe: async () => undefined,
      snapshots: () => Promise.reject(new Error('none is asked for')),
    };
  }

  newHold(checksums?: TableSelection & { readonly connections: number }, snapshots?: HoldServer['snapshots']): NodeHold {
    const { clock } = this;
    const server = { ...this.server, ...(snapshots && { snapshots }) };
    return new NodeHold({ operationId: 'backup-1', terms: TERMS, checksums, server, engine: async () => this.engine, clock });
  }

  /** A hold that has come as far as that phase. */
  async heldAt(...phases: readonly HoldPhase[]): Promise<NodeHold> {
    const hold = this.newHold();
    await hold.acquire();
    for (const phase of phases) await hold.advance(phase, PHASE);
    return hold;
  }

  /** What was done after the hold was over. */
  async afterwards(hold: NodeHold, end: () => void): Promise<readonly string[]> {
    const before = this.log.length;
    end();
    for (let waited = 0; waited < 1_000; waited++) await this.clock.pass(250);
    await hold.done;
    return this.log.slice(before);
  }
}

const { DRAIN, SUSPEND, FLUSH } = HoldPhase;
const RELEASED = ['read-write', 'unlock', 'guardian let go'];

let node: StandIn;
beforeEach(() => {
  node = new StandIn();
});

const codeOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'no error',
    (error: StillpointError) => error.code,
  );

test('the guardian is there before the lock is asked for, and knows before the flag is set', async () => {
  await node.heldAt(DRAIN, SUSPEND, FLUSH);
  expect(node.log).toEqual(['guardian', 'lock', 'second lock', 'drained', 'recorded', 'guardian knows', 'read-only', 'saved']);
});

test('that the engine was seen read-only is recorded', async () => {
  await node.heldAt(DRAIN, SUSPEND);
  expect(node).toMatchObject({ isRecorded: true, isConfirmed: true });
});

test('the guardian is told that this process lives while snapshots are still being opened, and not for longer', async () => {
  const opening = Promise.withResolvers<Snapshots>();
  const hold = node.newHold({ include: [], exclude: [], connections: 1 }, () => opening.promise);
  const acquiring = hold.acquire();
  for (let waited = 0; waited < 10; waited++) await node.clock.pass(250);
  expect(node.renewed).toBeGreaterThanOrEqual(2);
  opening.resolve({ tables: 0, sum: () => Promise.reject(new Error('nobody sums')), close: async () => undefined });
  await acquiring;
  const { renewed } = node;
  for (let waited = 0; waited < 8; waited++) await node.clock.pass(250);
  expect(node.renewed).toBe(renewed);
  await node.afterwards(hold, () => void hold.release());
});

test('a phase that is asked for twice, because an answer was lost, is entered once', async () => {
  const hold = await node.heldAt(DRAIN, SUSPEND);
  await hold.advance(SUSPEND, PHASE);
  expect(node.log.filter((line) => line === 'read-only')).toHaveLength(1);
  expect(hold.inForce).toBe(true);
});

describe('the engine is read-write before writers go on, when', () => {
  const lost = (what: string): StillpointError => new StillpointError('HOLD_LOST', what);
  const ENDS: Readonly<Record<string, { readonly end: (hold: NodeHold) => unknown; readonly reason: object }>> = {
    'it is released': { end: (hold) => hold.release(), reason: { code: 'CANCELLED' } },
    'the lease runs out': { end: () => undefined, reason: { code: 'LEASE_EXPIRED' } },
    'the lock is lost': { end: () => node.lockLost.abort(lost('killed')), reason: { message: 'killed' } },
    'the guardian is lost': { end: () => node.guardianLost.abort(lost('it is gone')), reason: { message: 'it is gone' } },
    'the agent stops': { end: (hold) => hold.lose(lost('stopped')), reason: { message: 'stopped' } },
  };
  test.each(Object.entries(ENDS))('%s', async (_, { end, reason }) => {
    const hold = await node.heldAt(DRAIN, SUSPEND, FLUSH);
    expect(await node.afterwards(hold, () => void end(hold))).toEqual(RELEASED);
    expect(hold.reason).toMatchObject(reason);
    expect(node.isRecorded).toBe(false);
  });

  test('it does not attest', async () => {
    const hold = await node.heldAt(DRAIN, SUSPEND);
    node.broken.holds = false;
    let code: unknown;
    expect(await node.afterwards(hold, () => void codeOf(hold.attest()).then((is) => (code = is)))).toEqual(RELEASED);
    expect(code).toBe('ATTEST_FAILED');
  });

  test('suspending it fails half-way', async () => {
    const hold = await node.heldAt(DRAIN);
    node.broken.suspend = new StillpointError('SUSPEND_FAILED', 'not confirmed');
    let code: unknown;
    const done = await node.afterwards(hold, () => void codeOf(hold.advance(SUSPEND, PHASE)).then((is) => (code = is)));
    expect(done.at(-6)).toEqual('read-only');
    expect(done.slice(-5)).toEqual(['read-write for certain', 'seen read-write', 'undoer begins', 'unlock', 'guardian unlocks and stays']);
    expect(code).toBe('SUSPEND_FAILED');
  });

  test('a request to suspend comes late: it is watched for, though writers go on', async () => {
    const hold = await node.heldAt(DRAIN);
    node.broken.suspend = new StillpointError('SUSPEND_FAILED', 'no answer');
    await node.afterwards(hold, () => void codeOf(hold.advance(SUSPEND, PHASE)));
    expect({ isRecorded: node.isRecorded, isConfirmed: node.isConfirmed }).toEqual({ isRecorded: true, isConfirmed: false });
    // Somebody must be left to see to it should this process be stopped; and nobody once it is undone.
    expect(node.log.at(-1)).toBe('guardian unlocks and stays');
    node.isRecorded = false;
    await node.clock.pass(1_000);
    for (let waited = 0; waited < 20 && node.log.at(-1) !== 'guardian let go'; waited++) await node.clock.pass(250);
    expect(node.log.at(-1)).toBe('guardian let go');
  });

  test('this process was frozen, and is the second to resume it', async () => {
    const hold = await node.heldAt(DRAIN, SUSPEND);
    node.isRecorded = false;
    expect(await node.afterwards(hold, () => undefined)).toEqual(['unlock', 'guardian let go']);
  });
});

describe('a node that does not suspend', () => {
  beforeEach(() => {
    node.isPrimary = false;
  });

  test('lets writers go when it sees that the engine is read-write', async () => {
    const hold = await node.heldAt(DRAIN, SUSPEND);
    void hold.release();
    await node.clock.pass(20_000);
    expect(node.log).not.toContain('unlock');
    const done = await node.afterwards(hold, () => {
      node.mode = 'read-write';
    });
    expect(done).toEqual(['seen read-write', 'unlock', 'guardian let go']);
    expect(lastAnswer(hold, 'pm2').case).toBe('released');
  });

  test('does not believe in a moment when the primary may be about to suspend', async () => {
    const hold = await node.heldAt(DRAIN);
    void hold.release();
    await node.clock.pass(500);
    node.mode = 'read-only';
    await node.clock.pass(5_000);
    expect(node.log).not.toContain('unlock');
    await node.afterwards(hold, () => {
      node.mode = 'read-write';
    });
    expect(node.log.slice(-2)).toEqual(['unlock', 'guardian let go']);
  });

  test('waits for a minute beyond the lease, not for ever, and says what it has done', async () => {
    const hold = await node.heldAt(DRAIN, SUSPEND);
    void hold.release();
    await node.clock.pass(62_000);
    expect(node.log).not.toContain('unlock');
    await node.afterwards(hold, () => undefined);
    expect(node.log.slice(-2)).toEqual(['unlock', 'guardian let go']);
    expect(lastAnswer(hold, 'pm2')).toMatchObject({ case: 'failed', value: { code: 'RESUME_FAILED', node: 'pm2' } });
  });
});

test('an engine that does not become read-write keeps writers for a minute; then they go, it is told, and tried again', async () => {
  const hold = await node.heldAt(DRAIN, SUSPEND);
  node.broken.resumes = false;
  void hold.release();
  await node.clock.pass(59_000);
  expect(node.log).not.toContain('unlock');
  const done = await node.afterwards(hold, () => undefined);
  expect(done).toEqual(['undoer begins', 'unlock', 'guardian unlocks and stays']);
  expect(node.isRecorded).toBe(true);
  expect(lastAnswer(hold, 'pm1')).toMatchObject({ case: 'failed', value: { code: 'RESUME_FAILED' } });
});

test('that the engine is not read-write is told first, and then why the hold had ended', async () => {
  const hold = await node.heldAt(DRAIN, SUSPEND);
  node.broken.resumes = false;
  await node.afterwards(hold, () => node.lockLost.abort(new StillpointError('HOLD_LOST', 'killed by hand')));
  expect(lastAnswer(hold, 'pm1')).toMatchObject({
    case: 'failed',
    value: { code: 'RESUME_FAILED', message: expect.stringContaining('HOLD_LOST: killed by hand') },
  });
});

test('a release tells how long the engine took, and which tables stay locked', async () => {
  const hold = await node.heldAt(DRAIN, SUSPEND);
  await node.afterwards(hold, () => void hold.release());
  expect(lastAnswer(hold, 'pm1')).toMatchObject({ case: 'released', value: { stuckLocks: ['d.t is locked'], engineResume: {} } });
});

describe('nothing is suspended, and no lock is asked for in vain, when', () => {
  test('the engine was read-only before', async () => {
    node.broken.writable = new StillpointError('ENGINE_READ_ONLY', 'it was so before');
    expect(await codeOf(node.newHold().acquire())).toBe('ENGINE_READ_ONLY');
    expect(node.log).toEqual(['guardian', 'guardian let go']);
  });

  test('the guardian cannot be told', async () => {
    const hold = await node.heldAt(DRAIN);
    node.broken.guard = new StillpointError('HOLD_LOST', 'the guardian does not answer');
    let code: unknown;
    await node.afterwards(hold, () => void codeOf(hold.advance(SUSPEND, PHASE)).then((is) => (code = is)));
    expect(code).toBe('HOLD_LOST');
    expect(node.log).not.toContain('read-only');
    expect(node.log.slice(-2)).toEqual(['unlock', 'guardian let go']);
  });

  test('the phase has no bound', async () => {
    const hold = await node.heldAt();
    let code: unknown;
    await node.afterwards(hold, () => void codeOf(hold.advance(DRAIN, { ...PHASE, timeoutMs: undefined })).then((is) => (code = is)));
    expect(code).toBe('USAGE');
  });
});
