import { durationMs } from '@bufbuild/protobuf/wkt';
import { StillpointError } from '@stillpoint/shared/errors';
import { beforeEach, expect, test } from 'vitest';
import { type FakeClock, fakeClock } from '../../../../test/harness/fake-clock.ts';
import { type ClaimRequest, type Claims, createClaims } from './claims.ts';

let clock: FakeClock;
let claims: Claims;
let ended: string[];
let works: boolean;
let clearing: Promise<void>;

beforeEach(() => {
  clock = fakeClock();
  ended = [];
  works = false;
  clearing = Promise.resolve();
  claims = createClaims({
    clock,
    admit: async ({ kind }) => {
      if (kind === 'delete') throw new StillpointError('RESTORE_UNFINISHED', 'not here');
    },
    claimed: async () => undefined,
    outlives: () => works,
    end: async (operationId, why) => {
      await clearing;
      ended.push(`${operationId} ${why}`);
    },
  });
});

const wants = (operationId: string, over: Partial<ClaimRequest> = {}): ClaimRequest => ({
  operationId,
  kind: 'backup',
  owner: 'ops@host, pid 1',
  ttlMs: 10_000,
  ...over,
});
const codeOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'no error',
    (error: StillpointError) => error.code,
  );

test('one operation owns the node; another is told who, since when and for how long', async () => {
  await claims.claim(wants('a'));
  await clock.pass(2_500);
  await expect(claims.claim(wants('b'))).rejects.toMatchObject({
    code: 'NODE_BUSY',
    message:
      'The node is claimed by backup a of ops@host, pid 1 since 2026-01-02T03:04:05.000Z; unless renewed, its claim runs out in 7.50 s',
  });
  expect(() => claims.require('a')).not.toThrow();
  expect(() => claims.require('b')).toThrow(expect.objectContaining({ code: 'CLAIM_MISSING' }));
});

test('of two that come at once, one gets the node', async () => {
  const both = await Promise.allSettled([claims.claim(wants('a')), claims.claim(wants('b'))]);
  expect(both.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
});

test('claiming again renews and keeps the time of the first claim', async () => {
  const first = await claims.claim(wants('a'));
  await clock.pass(9_000);
  const again = await claims.claim(wants('a'));
  expect(again.since).toEqual(first.since);
  expect(again.expiresIn === undefined ? 0 : durationMs(again.expiresIn as never)).toBe(10_000);
  await clock.pass(9_999);
  expect(ended).toEqual([]);
});

test('a claim that nobody renews ends, and the node is free', async () => {
  await claims.claim(wants('a'));
  await clock.pass(10_000);
  expect(ended).toEqual(['a expired']);
  expect(claims.current()).toBeUndefined();
  await claims.claim(wants('b'));
});

test('work that outlives its controller keeps the claim until it has ended', async () => {
  works = true;
  await claims.claim(wants('a', { kind: 'restore' }));
  await clock.pass(60_000);
  expect(ended).toEqual([]);
  await expect(claims.claim(wants('b'))).rejects.toThrow('its controller is gone, but its work on this node goes on');
  works = false;
  await clock.pass(1_000);
  expect(ended).toEqual(['a expired']);
});

test('a controller that comes back while its work goes on has the claim again', async () => {
  works = true;
  await claims.claim(wants('a', { kind: 'restore' }));
  await clock.pass(60_000);
  await claims.claim(wants('a', { kind: 'restore' }));
  works = false;
  await clock.pass(9_000);
  expect(ended).toEqual([]);
});

test('what is refused does not own the node', async () => {
  expect(await codeOf(claims.claim(wants('a', { kind: 'delete' })))).toBe('RESTORE_UNFINISHED');
  await claims.claim(wants('b'));
});

test('giving back is told once all is cleared up, and twice is fine', async () => {
  const cleared = Promise.withResolvers<void>();
  clearing = cleared.promise;
  await claims.claim(wants('a'));
  const back = Promise.all([claims.release('a'), claims.release('a')]);
  await clock.pass(0);
  expect(await codeOf(claims.claim(wants('b')))).toBe('NODE_BUSY');
  expect(() => claims.require('a')).toThrow(expect.objectContaining({ code: 'CLAIM_MISSING' }));
  cleared.resolve();
  await back;
  await claims.release('a');
  expect(ended).toEqual(['a released']);
  await claims.claim(wants('b'));
});

test('nobody gives back what another owns', async () => {
  await claims.claim(wants('a'));
  await claims.release('b');
  expect(() => claims.require('a')).not.toThrow();
});

test('a claim does not end while a call of its owner is at work', async () => {
  await claims.claim(wants('a'));
  const commit = Promise.withResolvers<string>();
  const call = claims.within('a', () => commit.promise);
  const back = claims.release('a');
  await clock.pass(60_000);
  expect(ended).toEqual([]);
  expect(await codeOf(claims.within('a', async () => 'too late'))).toBe('CLAIM_MISSING');
  commit.resolve('done');
  expect(await call).toBe('done');
  await back;
  expect(ended).toEqual(['a released']);
});

test('giving back at once also gives back a claim that is still on its way', async () => {
  const claimed = claims.claim(wants('a'));
  await claims.release('a');
  await claimed;
  expect(ended).toEqual(['a released']);
});

test('a renewal is none of a claim that was lost', async () => {
  await claims.claim(wants('a'));
  await claims.claim(wants('a', { renew: true }));
  await clock.pass(10_000);
  expect(ended).toEqual(['a expired']);
  expect(await codeOf(claims.claim(wants('a', { renew: true })))).toBe('CLAIM_MISSING');
  await claims.claim(wants('b'));
  expect(await codeOf(claims.claim(wants('a', { renew: true })))).toBe('NODE_BUSY');
});
