import { create } from '@bufbuild/protobuf';
import { StillpointError } from '@stillpoint/shared/errors';
import { MariadbPositionSchema } from '@stillpoint/shared/proto';
import { expect, test } from 'vitest';
import { fakeClock } from '../../../../test/harness/fake-clock.ts';
import type { LockOptions, ServerLock } from '../mariadb/lock.ts';
import type { LockGate } from '../mariadb/open-gate.ts';
import { NodeHold } from './node-hold.ts';
import type { HoldServer } from './server.ts';

/** A hold of a server whose lock is granted at once, unless it is refused, and what is done, in its order. */
function standIn(over: { readonly prepare?: () => Promise<void>; readonly refusal?: StillpointError } = {}) {
  const log: string[] = [];
  const gate: LockGate = {
    connections: [],
    prepare: async () => {
      log.push('prepare');
      await over.prepare?.();
    },
    open: async () => void log.push('open'),
    granted: () => void log.push('granted'),
    refused: () => void log.push('refused'),
  };
  const lock: ServerLock = {
    connectionId: 7,
    position: create(MariadbPositionSchema, {}),
    sources: [],
    requestedAt: new Date(0),
    grantedAt: new Date(0),
    waitedMs: 0,
    lost: new AbortController().signal,
    ping: async () => undefined,
    standsAt: async () => true,
    attest: async () => lock.position,
    release: async () => void log.push('unlock'),
  };
  const server: HoldServer = {
    connect: () => Promise.reject(new Error('only a hold of an engine connects before it asks for the lock')),
    lock: async (options: LockOptions) => {
      log.push(options.gate === gate ? 'lock past the gate' : 'lock');
      if (over.refusal !== undefined) throw over.refusal;
      return lock;
    },
    probe: async () => undefined,
    snapshots: () => Promise.reject(new Error('nothing is to be summed')),
  };
  const terms = { lockTimeoutMs: 500, leaseMs: 3_000, maxBlockMs: 10_000 };
  const hold = new NodeHold({ operationId: 'backup-1', terms, checksums: undefined, server, gate: () => gate, clock: fakeClock() });
  return { hold, log };
}

test('what waits at the gate is made sure of before the lock is asked for, and is let go with it', async () => {
  const { hold, log } = standIn();
  await hold.acquire();
  expect(log).toEqual(['prepare', 'lock past the gate']);
  await hold.release();
  expect(log).toEqual(['prepare', 'lock past the gate', 'unlock', 'refused']);
});

test('what does not wait at the gate any more ends the hold before anybody is made to wait', async () => {
  const lost = new StillpointError('HOLD_LOST', 'it was given up');
  const { hold, log } = standIn({ prepare: () => Promise.reject(lost) });
  await expect(hold.acquire()).rejects.toMatchObject({ code: 'HOLD_LOST', message: 'it was given up' });
  expect(log).toEqual(['prepare']);
  expect(hold.blockedMs).toBe(0);
});

test('a lock that is refused leaves the gate to the next attempt', async () => {
  const { hold, log } = standIn({ refusal: new StillpointError('LOCK_TIMEOUT', 'somebody is in the way') });
  await expect(hold.acquire()).rejects.toMatchObject({ code: 'LOCK_TIMEOUT' });
  expect(log.at(-1)).toBe('refused');
});
