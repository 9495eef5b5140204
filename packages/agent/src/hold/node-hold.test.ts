import { create } from '@bufbuild/protobuf';
import { StillpointError } from '@stillpoint/shared/errors';
import { HoldPhase, MariadbPositionSchema } from '@stillpoint/shared/proto';
import { beforeEach, describe, expect, test } from 'vitest';
import { type FakeClock, fakeClock } from '../../../../test/harness/fake-clock.ts';
import type { LockOptions, ServerLock } from '../mariadb/lock.ts';
import { NodeHold } from './node-hold.ts';
import type { HoldServer } from './server.ts';
import type { HoldTerms } from './state.ts';

const PHASE = { timeoutMs: 1_000, refuseCpimport: false };
const TERMS: HoldTerms = { lockTimeoutMs: 500, leaseMs: 3_000, maxBlockMs: 10_000 };

/** A server whose lock is granted when the test says so; in all else it obeys like the real one. */
function standIn() {
  const log: string[] = [];
  const asked = Promise.withResolvers<LockOptions>();
  const answer = Promise.withResolvers<void>();
  const lost = new AbortController();
  let attests = true;
  const lock: ServerLock = {
    connectionId: 7,
    position: create(MariadbPositionSchema, { logBin: true, file: 'bin.000001', offset: 4n }),
    sources: [],
    requestedAt: new Date(0),
    grantedAt: new Date(0),
    waitedMs: 0,
    lost: lost.signal,
    ping: async () => undefined,
    standsAt: async () => true,
    attest: async () => {
      if (!attests) throw new StillpointError('ATTEST_FAILED', 'it moved');
      return lock.position;
    },
    release: async () => void log.push('unlock'),
  };
  const server: HoldServer = {
    connect: () => Promise.reject(new Error('only a hold of an engine connects before it asks for the lock')),
    lock: async (options) => {
      log.push('lock');
      asked.resolve(options);
      const aborted = new Promise<never>((_, reject) => {
        options.signal.addEventListener('abort', () => reject(options.signal.reason), { once: true });
      });
      await Promise.race([answer.promise, aborted]).catch((error: unknown) => {
        log.push('give up');
        throw error;
      });
      return lock;
    },
    probe: async () => undefined,
    snapshots: async () => ({
      tables: 0,
      sum: async () => ({ checksums: [], unproven: [] }),
      close: async () => void log.push('close snapshots'),
    }),
  };
  return {
    server,
    log,
    asked: asked.promise,
    grant: () => answer.resolve(),
    refuse: (error: StillpointError) => answer.reject(error),
    lose: (error: StillpointError) => lost.abort(error),
    move: () => {
      attests = false;
    },
  };
}

let clock: FakeClock;
let node: ReturnType<typeof standIn>;
beforeEach(() => {
  clock = fakeClock();
  node = standIn();
});

const checksums = { include: [], exclude: [], connections: 2 };
const newHold = (terms: Partial<HoldTerms> = {}): NodeHold =>
  new NodeHold({ operationId: 'backup-1', terms: { ...TERMS, ...terms }, checksums, server: node.server, clock });

async function heldNode(terms: Partial<HoldTerms> = {}): Promise<NodeHold> {
  const hold = newHold(terms);
  node.grant();
  await hold.acquire();
  expect(hold.inForce).toBe(true);
  return hold;
}

const codeOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'no error',
    (error: StillpointError) => error.code,
  );

describe('the lease', () => {
  test('that nobody renews ends the hold: unlocked, snapshots closed, told as lost', async () => {
    const hold = await heldNode();
    await clock.pass(2_999);
    expect(hold.inForce).toBe(true);
    await clock.pass(1);
    expect(hold.inForce).toBe(false);
    expect(hold.lost.reason).toMatchObject({ code: 'LEASE_EXPIRED' });
    await hold.done;
    expect(node.log).toEqual(['lock', 'unlock', 'close snapshots']);
  });

  test('is pushed out by every renewal', async () => {
    const hold = await heldNode();
    for (let second = 0; second < 9; second++) {
      await clock.pass(1_000);
      hold.renew();
    }
    expect(hold.inForce).toBe(true);
    expect(hold.heldMs).toBe(9_000);
  });

  test('is not revived by a renewal that was read too late by a process that was frozen', async () => {
    const hold = await heldNode();
    clock.freeze(3_000);
    hold.renew();
    expect(hold.inForce).toBe(false);
    expect(hold.lost.reason).toMatchObject({ code: 'LEASE_EXPIRED' });
  });

  test('counts from the grant, not from the question', async () => {
    const hold = newHold();
    const acquiring = hold.acquire();
    await clock.pass(4_000);
    node.grant();
    await acquiring;
    await clock.pass(2_999);
    expect(hold.inForce).toBe(true);
  });
});

describe('the budget for the block', () => {
  test('ends a hold however often it is renewed, counted from the question', async () => {
    const hold = newHold({ maxBlockMs: 5_000 });
    const acquiring = hold.acquire();
    await clock.pass(400);
    node.grant();
    await acquiring;
    for (let second = 0; second < 4; second++) {
      await clock.pass(1_000);
      hold.renew();
    }
    await clock.pass(599);
    expect(hold.inForce).toBe(true);
    await clock.pass(1);
    expect(hold.lost.reason).toMatchObject({ code: 'BLOCK_BUDGET' });
    await hold.done;
    expect(hold.blockedMs).toBe(5_000);
  });

  test('ends the wait for the lock too', async () => {
    const hold = newHold({ maxBlockMs: 300 });
    const acquiring = codeOf(hold.acquire());
    expect((await node.asked).timeoutMs).toBe(300);
    await clock.pass(300);
    expect(await acquiring).toBe('BLOCK_BUDGET');
    expect(node.log).toEqual(['lock', 'give up']);
  });
});

describe('a hold that is released', () => {
  test('is let go once, keeps its snapshots for the sums, and is not lost', async () => {
    const hold = await heldNode();
    await clock.pass(700);
    await Promise.all([hold.release(), hold.release()]);
    expect(node.log).toEqual(['lock', 'unlock']);
    expect(hold.lost.aborted).toBe(false);
    expect(hold.blockedMs).toBe(700);
    await clock.pass(60_000);
    expect(hold.blockedMs).toBe(700);
    expect(hold.state).toEqual({ at: 'released' });
    expect(hold.snapshots).toBeDefined();
  });

  test('while the lock is waited for gives up the wait at once', async () => {
    const hold = newHold();
    const acquiring = codeOf(hold.acquire());
    await node.asked;
    await hold.release();
    expect(node.log).toEqual(['lock', 'give up']);
    expect(await acquiring).toBe('CANCELLED');
    await expect(hold.granted).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  test('at the moment the lock is granted leaves nothing locked', async () => {
    const hold = newHold();
    const acquiring = codeOf(hold.acquire());
    await node.asked;
    node.grant();
    const releasing = hold.release();
    await releasing;
    await acquiring;
    expect(node.log.filter((line) => line === 'unlock').length + node.log.filter((line) => line === 'give up').length).toBe(1);
  });

  test('before it was taken never asks for the lock', async () => {
    const hold = newHold();
    await hold.release();
    expect(await codeOf(hold.acquire())).toBe('CANCELLED');
    expect(node.log).toEqual([]);
  });
});

test('a lock that is not granted ends the hold with what the server said', async () => {
  const hold = newHold();
  const acquiring = codeOf(hold.acquire());
  node.refuse(new StillpointError('LOCK_TIMEOUT', 'connection 12 is in the way'));
  expect(await acquiring).toBe('LOCK_TIMEOUT');
  expect(hold.state).toMatchObject({ at: 'lost', error: { code: 'LOCK_TIMEOUT' } });
});

test('a lock that the server takes away loses the hold', async () => {
  const hold = await heldNode();
  node.lose(new StillpointError('HOLD_LOST', 'killed'));
  expect(hold.inForce).toBe(false);
  expect(hold.lost.reason).toMatchObject({ code: 'HOLD_LOST' });
  expect(await codeOf(hold.attest())).toBe('HOLD_LOST');
});

test('an attestation that fails ends the hold; nothing is held when that is told', async () => {
  const hold = await heldNode();
  await hold.attest();
  node.move();
  expect(await codeOf(hold.attest())).toBe('ATTEST_FAILED');
  expect(node.log).toContain('unlock');
});

test('the phases of ColumnStore are refused and end the hold, that of the SQL lock was reached already', async () => {
  const hold = await heldNode();
  await hold.advance(HoldPhase.QUIESCE, PHASE);
  expect(hold.inForce).toBe(true);
  expect(await codeOf(hold.advance(HoldPhase.SUSPEND, PHASE))).toBe('COLUMNSTORE_UNSUPPORTED');
  expect(node.log).toContain('unlock');
});

test('a node without a server stands still at once and keeps nobody waiting', async () => {
  const hold = new NodeHold({ operationId: 'backup-1', terms: TERMS, checksums: undefined, server: undefined, clock });
  await hold.acquire();
  await clock.pass(1_000);
  await hold.attest();
  expect(hold).toMatchObject({ inForce: true, lock: undefined, blockedMs: 0, heldMs: 1_000 });
  await hold.release();
});
