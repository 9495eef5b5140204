import { CheckStatus } from '@stillpoint/shared/proto';
import { expect, it } from 'vitest';
import { follows, nodeView } from '../../../../test/controller/builders.ts';
import { type ClusterView, clusterChecks } from './cluster-checks.ts';

const inTime = (...views: ReturnType<typeof nodeView>[]): ClusterView['nodes'] => views.map((view) => ({ ...view, clockAheadMs: 0 }));

const HEALTHY: ClusterView = {
  purpose: 'backup',
  nodes: inTime(nodeView('db1'), nodeView('db2', follows('db1'))),
  silent: [],
  expiry: { path: '/pki/controller.crt', daysLeft: 300 },
};

const notOk = (changes: Partial<ClusterView>) =>
  clusterChecks({ ...HEALTHY, ...changes })
    .filter(({ status }) => status !== CheckStatus.OK)
    .map(({ name, status, message }) => ({ name, status, message }));

it('tells of every look, also when all is well', () => {
  const results = clusterChecks(HEALTHY);
  expect(results.map(({ status }) => status)).toEqual(results.map(() => CheckStatus.OK));
  expect(results.length).toBeGreaterThan(5);
});

it.each([
  [2_500, 'db1 is 2500 ms ahead'],
  [-9_000, 'db1 is 9000 ms behind'],
])('warns of a clock that is %d ms off', (clockAheadMs, message) => {
  const nodes = [{ ...nodeView('db1'), clockAheadMs }, ...inTime(nodeView('db2', follows('db1')))];
  expect(notOk({ nodes })).toEqual([{ name: 'cluster.clocks', status: CheckStatus.WARNING, message }]);
});

it('warns of a server id that two servers share, and fails for a restore', () => {
  const nodes = inTime(nodeView('db1'), nodeView('db2', { serverId: 1, ...follows('db1') }));
  expect(notOk({ nodes })).toMatchObject([{ name: 'cluster.server_ids', status: CheckStatus.WARNING, message: 'server_id 1: db1, db2' }]);
  expect(notOk({ nodes, purpose: 'restore' })).toMatchObject([{ status: CheckStatus.FAILED }]);
});

it('warns of servers of different series', () => {
  const nodes = inTime(nodeView('db1'), nodeView('db2', { version: '11.4.2-MariaDB', ...follows('db1') }));
  expect(notOk({ nodes })).toMatchObject([{ name: 'cluster.versions', message: '10.11: db1; 11.4: db2' }]);
});

it('warns of no primary and of several', () => {
  expect(notOk({ nodes: inTime(nodeView('db1', { running: false })), purpose: 'restore' })).toMatchObject([{ name: 'cluster.primary' }]);
  expect(notOk({ nodes: inTime(nodeView('db1'), nodeView('db2')) })).toMatchObject([{ message: 'db1, db2 replicate from nobody' }]);
});

it('warns of a source that is no node, and of replicas that do not use GTID', () => {
  const byFile = { sources: [{ host: 'elsewhere', port: 3306, usingGtid: 'No' }] };
  const names = notOk({ nodes: inTime(nodeView('db1'), nodeView('db2', byFile)) }).map(({ name }) => name);
  expect(names).toEqual(['cluster.sources', 'cluster.gtid']);
});

it('warns of a certificate that expires within 30 days', () => {
  expect(notOk({ expiry: { path: '/pki/controller.crt', daysLeft: 29 } })).toMatchObject([
    { name: 'cluster.certificate', message: expect.stringContaining('29 more days') },
  ]);
});

it('calls nothing in order that it could not see', () => {
  const seen = notOk({ nodes: [], silent: ['db1', 'db2'] });
  expect(seen.length).toBe(clusterChecks(HEALTHY).length - 1);
  for (const { status, message } of seen) {
    expect({ status, message }).toEqual({ status: CheckStatus.WARNING, message: 'not checked: no node answered' });
  }
  const partly = notOk({ silent: ['db3'] });
  expect(partly.length).toBe(seen.length);
  for (const { status, message } of partly) {
    expect(status).toBe(CheckStatus.WARNING);
    expect(message).toMatch(/; not checked: db3 \(no answer\)$/);
  }
  const down = notOk({ nodes: inTime(nodeView('db1'), nodeView('db2', { running: false, serverId: 0 })) });
  expect(down.map(({ name }) => name)).toEqual(['cluster.server_ids', 'cluster.primary', 'cluster.sources', 'cluster.gtid']);
  expect(down[0]?.message).toMatch(/db2 \(its server does not tell\)$/);
});

it('warns of an operation in progress, and of a restore that is to be decided about', () => {
  const claim = { operationId: 'backup-1', kind: 'backup', owner: 'ops@admin, pid 7' };
  const nodes = inTime(nodeView('db1', {}, { claim, unfinishedRestore: 'restore-1' }), nodeView('db2', follows('db1'), { claim }));
  expect(notOk({ nodes })).toEqual([
    { name: 'cluster.operations', status: CheckStatus.WARNING, message: 'backup-1 is in progress on db1, db2 (ops@admin, pid 7)' },
    { name: 'cluster.restores', status: CheckStatus.WARNING, message: 'restore-1 was neither finished nor rolled back on db1' },
  ]);
  const hint = clusterChecks({ ...HEALTHY, nodes }).find(({ name }) => name === 'cluster.restores')?.hint;
  expect(hint).toContain('stillpoint restore resume restore-1');
});
