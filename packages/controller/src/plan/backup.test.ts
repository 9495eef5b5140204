import { expect, it } from 'vitest';
import { follows, nodeView, SETTINGS } from '../../../../test/controller/builders.ts';
import { DBROOT_BYTES, engineFacts, moduleView } from '../../../../test/controller/engine-builders.ts';
import type { BackupSettings } from '../config/schema.ts';
import { type BackupPlan, planBackup } from './backup.ts';

const nodesOf = (plan: BackupPlan, kind: string): readonly string[] | undefined => plan.phases.find(({ phase }) => phase === kind)?.nodes;

it('holds, captures and commits on every node, in this order', () => {
  const plan = planBackup('shop', [nodeView('db1'), nodeView('db2', follows('db1'))], SETTINGS);
  expect(plan.phases.map(({ phase }) => phase)).toEqual([
    ...['check', 'precopy', 'ready', 'quiesce', 'capture', 'attest', 'resume', 'publish', 'commit'],
  ]);
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
  expect(plan.columnstore).toBeUndefined();
});

it('says what every node has to do and how it does it', () => {
  const [db1, db2] = planBackup('shop', [nodeView('db1'), nodeView('db2', follows('db1'))], SETTINGS).nodes;
  expect(db1).toMatchObject({
    node: 'db1',
    roles: ['sql', 'primary'],
    source: '',
    captures: [{ storage: 'server', strategy: 'increment' }],
    repository: '/backup',
  });
  expect(db2).toMatchObject({ node: 'db2', roles: ['sql'], source: 'db1', dbroots: [] });
});

it('warns where the repository has less room than there is data', () => {
  const tight = nodeView('db2', {}, { repository: { path: '/backup', freeBytes: 1_000n } });
  expect(planBackup('shop', [nodeView('db1'), tight], SETTINGS).warnings).toEqual([
    expect.stringMatching(/^db2: \/backup has 1000 bytes free/),
  ]);
});

it('warns of an increment only where a tenth of the data has no room', () => {
  const bytes = Number(nodeView('db1').facts.mariadb?.datadirBytes);
  const warnings = (freeBytes: number): readonly string[] => {
    const one = nodeView('db1', {}, { repository: { path: '/backup', freeBytes: BigInt(freeBytes) } });
    return planBackup('shop', [one], SETTINGS, { parent: 'before', warnings: [] }).warnings;
  };
  expect(warnings(Math.ceil(bytes / 10))).toEqual([]);
  expect(warnings(Math.floor(bytes / 10) - 1)).toEqual([expect.stringMatching(/an increment of them fits only if little has changed$/)]);
});

it('has nothing to do in a cluster without a server', () => {
  const { facts } = nodeView('db1');
  const { mariadb: _, ...bare } = facts;
  expect(() => planBackup('shop', [{ node: 'db1', address: 'db1:7443', facts: { ...bare, roles: [] } }], SETTINGS)).toThrow(
    expect.objectContaining({ code: 'NO_SQL_NODE' }),
  );
});

it('drains every module of the engine, suspends on the owner of dbroot 1 and then looks at the others, and flushes on the owner alone', () => {
  const map = { 1: 2, 2: 3 };
  const plan = planBackup('shop', [nodeView('db1'), moduleView('db2', map), moduleView('db3', map)], SETTINGS);
  expect(plan.phases.map(({ phase }) => phase).slice(3, 9)).toEqual(['quiesce', 'drain', 'suspend', 'confirm', 'flush', 'capture']);
  expect(['drain', 'suspend', 'confirm', 'flush'].map((phase) => nodesOf(plan, phase))).toEqual([
    ['db2', 'db3'],
    ['db2'],
    ['db3'],
    ['db2'],
  ]);
  expect(['quiesce', 'capture', 'attest', 'resume'].map((phase) => nodesOf(plan, phase))).toEqual(
    Array.from({ length: 4 }, () => ['db1', 'db2', 'db3']),
  );
  expect(plan.phases.find(({ phase }) => phase === 'drain')).toMatchObject({
    blocksWriters: true,
    bound: expect.stringContaining('20.0 s'),
  });
  expect(plan.columnstore).toEqual({ version: '6.4.12', configRevision: 7, primary: 'db2', driver: 'dbrmctl' });
});

it('brings over before the lock what can be had: servers that cannot come to the gate, and dbroots, which file systems write out before they are cloned', () => {
  const map = { 1: 2, 2: 3 };
  const atGate = { gateObstacle: '' };
  const views = [nodeView('db1', atGate), nodeView('db4'), moduleView('db2', map), moduleView('db3', map)];
  const phases = (capture: BackupSettings['capture'], parent?: string): (readonly string[] | undefined)[] => {
    const plan = planBackup('shop', views, { ...SETTINGS, capture }, { parent, warnings: [] });
    return [nodesOf(plan, 'precopy'), nodesOf(plan, 'park')];
  };
  expect(phases('auto')).toEqual([['db4', 'db2', 'db3'], ['db1']]);
  expect(phases('increment')).toEqual([['db1', 'db4', 'db2', 'db3'], undefined]);
  expect(phases('locked')).toEqual([undefined, undefined]);
  expect(phases('locked', '20261121-091500-3fa94c01')).toEqual([['db2', 'db3'], undefined]);
});

it('counts the dbroots that a node owns to its data, and no others', () => {
  const map = { 1: 1, 2: 1, 7: 2 };
  const [db1, db2] = planBackup('shop', [moduleView('db1', map), moduleView('db2', map)], SETTINGS).nodes;
  expect(db1?.dbroots.map(({ number, path }) => [number, path])).toEqual([
    [1, '/var/lib/columnstore/data1'],
    [2, '/var/lib/columnstore/data2'],
  ]);
  expect(db2?.dbroots.map(({ number }) => number)).toEqual([7]);
  expect((db1?.dataBytes ?? 0) - (db2?.dataBytes ?? 0)).toBe(DBROOT_BYTES);
});

it.each([
  [
    'no module that owns dbroot 1',
    [moduleView('db2'), moduleView('db3')],
    'one of db2, db3 must own dbroot 1 and run controllernode, and none does',
  ],
  ['two of them', [moduleView('db1'), moduleView('db2', { 1: 2 })], 'db1, db2 all say that they do'],
  ['ColumnStore, but no module', [nodeView('db1', {}, { columnstore: engineFacts(0) })], 'no node of the cluster is a module'],
])('refuses %s: nobody knows who suspends', (_, views, message) => {
  expect(() => planBackup('shop', views, SETTINGS)).toThrow(
    expect.objectContaining({ code: 'COLUMNSTORE_CONFIG', message: expect.stringContaining(message) }),
  );
});
