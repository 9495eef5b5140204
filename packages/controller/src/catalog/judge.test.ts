import { StillpointError } from '@stillpoint/shared/errors';
import { encodeManifest, type SetManifest } from '@stillpoint/shared/manifest';
import { expect, it } from 'vitest';
import { member, setOf } from '../../../../test/controller/builders.ts';
import { type Holding, judgeSets, type Listing } from './judge.ts';

const SET = setOf([member('db1'), member('db2')]);
const holding = (set: SetManifest | undefined, hasPart = true): Holding => ({
  setId: SET.setId,
  manifest: set === undefined ? new Uint8Array() : encodeManifest(set),
  hasPart,
  isProtected: false,
  readBy: '',
});
const holds = (node: string, ...holdings: Holding[]): Listing => ({ node, holdings });
const silent = (node: string): Listing => ({ node, error: new StillpointError('NODE_UNREACHABLE', 'connection refused') });

const verdict = (...listings: Listing[]) => judgeSets('shop', listings).map(({ state, reason, unasked }) => ({ state, reason, unasked }));

it('a set whose members all hold their part and the same set.json is good', () => {
  expect(verdict(holds('db1', holding(SET)), holds('db2', holding(SET)))).toEqual([{ state: 'good', reason: '', unasked: [] }]);
});

it('a set.json vouches for the parts that are there; which are missing is said', () => {
  const reason = 'set.json is missing on db2';
  expect(verdict(holds('db1', holding(SET)), holds('db2', holding(undefined)))).toEqual([{ state: 'incomplete', reason, unasked: [] }]);
  expect(verdict(holds('db1', holding(SET)), holds('db2'))).toEqual([{ state: 'incomplete', reason, unasked: [] }]);
});

it('a set of which no part is left has failed', () => {
  expect(verdict(holds('db1', holding(SET, false)), holds('db2'))).toMatchObject([{ state: 'failed', reason: 'no part of it is left' }]);
});

it('a set.json without its part is no good', () => {
  expect(verdict(holds('db1', holding(SET)), holds('db2', holding(SET, false)))).toMatchObject([
    { state: 'incomplete', reason: 'the part of db2 is missing' },
  ]);
});

it('two nodes that hold different manifests do not hold one set', () => {
  const other = { ...SET, committedAt: '2026-11-21T09:59:00.000Z' };
  expect(verdict(holds('db1', holding(SET)), holds('db2', holding(other)))).toMatchObject([
    { reason: 'set.json differs between db1, db2' },
  ]);
});

it('a part without any set.json was never committed', () => {
  expect(verdict(holds('db1', holding(undefined)), holds('db2'))).toMatchObject([{ state: 'failed', reason: 'it was never committed' }]);
});

it('a set that needs a silent node is not good, for that alone', () => {
  const reason = 'db2 could not be asked for a share of it';
  expect(verdict(holds('db1', holding(SET)), silent('db2'))).toEqual([{ state: 'incomplete', reason, unasked: ['db2'] }]);
});

it('a member that is no longer configured is not waited for', () => {
  expect(verdict(holds('db1', holding(SET)))).toMatchObject([{ state: 'good' }]);
});

it.each([
  ['is not a manifest', new TextEncoder().encode('{}'), /set\.json/],
  ['is of another cluster', encodeManifest({ ...SET, cluster: 'other' }), /names set .* of cluster other/],
  ['is of another set', encodeManifest({ ...SET, setId: '20260101-000000-00000000' }), /names set 20260101/],
])('a set.json that %s is refused', (_, manifest, reason) => {
  expect(verdict(holds('db1', { ...holding(SET), manifest }))).toEqual([
    { state: 'failed', reason: expect.stringMatching(reason), unasked: [] },
  ]);
});

it('a set that one node has marked as protected, or has yet to read, is so', () => {
  const [judged] = judgeSets('shop', [
    holds('db1', holding(SET)),
    holds('db2', { ...holding(SET), isProtected: true, readBy: 'restore-1' }),
  ]);
  expect(judged).toMatchObject({ state: 'good', isProtected: true, readBy: 'restore-1' });
});

it('a set is good only with the parts of other sets that it uses', () => {
  const used = '20261120-091500-aaaaaaaa';
  const child = { ...setOf([{ ...member('db1'), borrowedBytes: 10 }, member('db2')]), parent: used, uses: [used] };
  const of = (setId: string, set: SetManifest | undefined): Holding => ({ ...holding(set), setId });
  const parent = { ...SET, setId: used, members: [member('db1')] };
  const judged = (...listings: Listing[]) => judgeSets('shop', listings).find(({ setId }) => setId === SET.setId);
  const both = [of(used, parent), holding(child)];
  // db2 had nothing of the parent: its part is a full one.
  expect(judged(holds('db1', ...both), holds('db2', holding(child)))).toMatchObject({ state: 'good' });
  expect(judged(holds('db1', { ...of(used, parent), hasPart: false }, holding(child)), holds('db2', holding(child)))).toMatchObject({
    state: 'incomplete',
    reason: `the part of db1 in set ${used}, which it uses, is missing`,
  });
  // Nobody knows any more who had one.
  expect(judged(holds('db1', holding(child)), holds('db2', holding(child)))?.reason).toBe(
    `the part of db1 in set ${used}, which it uses, is missing`,
  );
});

it('what another set has lost on a node that borrows nothing, and whose dbroots nobody borrows, is no loss', () => {
  const used = '20261120-091500-aaaaaaaa';
  const of = (setId: string, set: SetManifest, hasPart = true): Holding => ({ ...holding(set, hasPart), setId });
  const judged = (dbroots: number[]) => {
    const parent = { ...SET, setId: used, members: [member('db1'), { ...member('db2'), dbroots: [2] }] };
    const child = { ...setOf([{ ...member('db1'), dbroots, borrowedBytes: 10 }, member('db2')]), parent: used, uses: [used] };
    const listings = [holds('db1', of(used, parent), holding(child)), holds('db2', of(used, parent, false), holding(child))];
    return judgeSets('shop', listings).find(({ setId }) => setId === SET.setId);
  };
  expect(judged([1])).toMatchObject({ state: 'good' });
  // A dbroot that has moved is borrowed from the part of who had it then.
  expect(judged([1, 2])).toMatchObject({ state: 'incomplete', reason: `the part of db2 in set ${used}, which it uses, is missing` });
});
