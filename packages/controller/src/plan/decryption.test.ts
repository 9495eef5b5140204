import { expect, it } from 'vitest';
import { member, nodeView, partOf, restoreFacts } from '../../../../test/controller/builders.ts';
import type { RestoreRequest } from '../api.ts';
import { type NodeReading, planRestore } from './restore.ts';

const REQUEST: RestoreRequest = { setId: 'latest', replicas: 'auto', replication: 'print', restoreConfiguration: false };
const OURS = 'age1ours';
const recipients = ['age1other', OURS];

type Decryption = { readonly recipients: readonly string[]; readonly problem: string };
const withKeys = (node: string, decryption: Decryption | undefined): NodeReading =>
  nodeView(node, { running: false }, (decryption === undefined ? {} : { decryption }) as never);

const SET = [member('db1', { source: '' })];

/** What a plan says of one node, whose part is encrypted. */
const told = (decryption: Decryption | undefined): string[] =>
  planRestore(
    'plan-1',
    new Date(0),
    REQUEST,
    restoreFacts(SET, {
      nodes: [withKeys('db1', decryption)],
      parts: { db1: partOf(member('db1', { source: '' }), { encryption: { recipients } }) },
    }),
  ).problems.map(({ node, message }) => `${node}: ${message}`);

it('has no problem on a node with one of the identities', () => {
  expect(told({ recipients: ['age1else', OURS], problem: '' })).toEqual([]);
});

it('tells of a node that has none, others, or one that it cannot read', () => {
  const cannot = 'db1: cannot open the part of db1, which is encrypted for age1other, age1ours';
  expect(told(undefined)).toEqual([`${cannot}: its agent has no identity`]);
  expect(told({ recipients: ['age1else'], problem: '' })).toEqual([`${cannot}: its agent has identities of age1else only`]);
  expect(told({ recipients: [], problem: 'mode 0644' })).toEqual([`${cannot}: mode 0644`]);
});

it('asks for the keys of the part that a replica is made from, on the replica', () => {
  const members = [member('db1'), member('db2', { gtidSlavePos: '0-1-1', gtidBinlogPos: '0-1-1' })];
  const facts = restoreFacts(members, { parts: { db1: partOf(member('db1'), { encryption: { recipients } }) } });
  const { problems } = planRestore('plan-1', new Date(0), { ...REQUEST, nodes: ['db1', 'db2'] }, facts);
  expect(problems.map(({ node, message }) => `${node}: ${message.slice(0, 30)}`)).toEqual([
    'db1: cannot open the part of db1, w',
    'db2: cannot open the part of db1, w',
  ]);
});

it('asks for none where nothing is encrypted', () => {
  expect(planRestore('plan-1', new Date(0), REQUEST, restoreFacts()).problems).toEqual([]);
});
