import { Role } from '@stillpoint/shared/proto';
import { expect, it } from 'vitest';
import { follows, nodeView, SETTINGS } from '../../../../test/controller/builders.ts';
import { planBackup } from './backup.ts';

it('holds, captures and commits on every node, in this order', () => {
  const plan = planBackup('shop', [nodeView('db1'), nodeView('db2', follows('db1'))], SETTINGS);
  expect(plan.phases.map(({ phase }) => phase)).toEqual(['check', 'quiesce', 'capture', 'attest', 'resume', 'publish', 'commit']);
  for (const { nodes, steps } of plan.phases) {
    expect(nodes).toEqual(['db1', 'db2']);
    expect(steps.map(({ node }) => node)).toEqual(nodes);
  }
  expect(plan.phases.filter(({ blocksWriters }) => blocksWriters).map(({ phase }) => phase)).toEqual([
    'quiesce',
    'capture',
    'attest',
    'resume',
  ]);
});

it('drains, suspends and flushes between the locks and the captures, on nodes that own dbroots only', () => {
  const plan = planBackup('shop', [nodeView('db1'), nodeView('pm1', {}, { roles: [Role.SQL, Role.PM] })], SETTINGS);
  expect(plan.phases.map(({ phase }) => phase).slice(1, 6)).toEqual(['quiesce', 'drain', 'suspend', 'flush', 'capture']);
  expect(plan.phases.find(({ phase }) => phase === 'suspend')?.nodes).toEqual(['pm1']);
});

it('says what every node has to do and how it does it', () => {
  const [db1, db2] = planBackup('shop', [nodeView('db1'), nodeView('db2', follows('db1'))], SETTINGS).nodes;
  expect(db1).toMatchObject({ node: 'db1', roles: ['sql', 'primary'], source: '', capture: { strategy: 'locked' }, repository: '/backup' });
  expect(db2).toMatchObject({ node: 'db2', roles: ['sql'], source: 'db1' });
});

it('has nothing to do in a cluster without a server', () => {
  const { facts } = nodeView('db1');
  const { mariadb: _, ...bare } = facts;
  expect(() => planBackup('shop', [{ node: 'db1', address: 'db1:7443', facts: { ...bare, roles: [] } }], SETTINGS)).toThrow(
    expect.objectContaining({ code: 'NO_SQL_NODE' }),
  );
});
