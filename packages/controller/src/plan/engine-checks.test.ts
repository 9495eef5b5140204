import { CheckStatus, Role } from '@stillpoint/shared/proto';
import { describe, expect, it } from 'vitest';
import { follows, nodeView } from '../../../../test/controller/builders.ts';
import { type DbrootMap, engineFacts, ONE_EACH } from '../../../../test/controller/engine-builders.ts';
import { type ClusterView, clusterChecks } from './cluster-checks.ts';

type Changes = Parameters<typeof engineFacts>[2];

/** dbN is pmN; db1 is what the others replicate from. */
const module = (id: number, changes: Changes = {}, map: DbrootMap = ONE_EACH) =>
  nodeView(`db${id}`, id === 1 ? {} : follows('db1'), {
    roles: [Role.SQL, Role.PM],
    columnstore: engineFacts(id, map, { running: true, ...changes }),
  });
const sqlOnly = nodeView('db4', follows('db1'));

const SHOWN = ['cluster.columnstore', 'cluster.modules', 'cluster.engine_primary', 'cluster.engine_release', 'cluster.user_modules'];
const checks = (views: readonly ReturnType<typeof nodeView>[], silent: readonly string[] = []) => {
  const view: ClusterView = {
    purpose: 'backup',
    nodes: views.map((each) => ({ ...each, clockAheadMs: 0 })),
    silent,
    expiry: { path: '/pki/controller.crt', daysLeft: 300 },
  };
  return clusterChecks(view).filter(({ name }) => SHOWN.includes(name));
};
const notOk = (...views: readonly ReturnType<typeof nodeView>[]) =>
  checks(views)
    .filter(({ status }) => status !== CheckStatus.OK)
    .map(({ name, status, code, message }) => ({ name, status, code, message }));
const failure = (name: string, message: unknown) => ({ name, status: CheckStatus.FAILED, code: 'COLUMNSTORE_CONFIG', message });

it('tells nothing of a cluster without ColumnStore', () => {
  expect(checks([nodeView('db1'), sqlOnly])).toEqual([]);
});

it('finds all in order, with a node that only runs SQL', () => {
  expect(checks([module(1), module(2), module(3), sqlOnly])).toMatchObject([
    { name: 'cluster.columnstore', status: CheckStatus.OK, message: 'Columnstore.xml says the same on db1, db2, db3' },
    { name: 'cluster.modules', status: CheckStatus.OK, message: 'pm1 is db1, pm2 is db2, pm3 is db3' },
    { name: 'cluster.engine_primary', status: CheckStatus.OK, message: 'db1 owns dbroot 1 and runs controllernode' },
  ]);
});

describe('files that differ are a failure that names both nodes and both values', () => {
  it.each<[what: string, changes: Changes, message: string]>([
    ['in their revision', { configRevision: 8n }, 'ConfigRevision: db1, db3 have 7; db2 have 8'],
    ['in the host of controllernode', { controllerHost: 'pm9' }, 'the host of controllernode: db1, db3 have pm1; db2 have pm9'],
  ])('%s', (_, changes, message) => {
    expect(notOk(module(1), module(2, changes), module(3))).toEqual([failure('cluster.columnstore', message)]);
  });

  it('in who owns a dbroot', () => {
    const map = { 1: 1, 2: 3, 3: 2 };
    expect(notOk(module(1), module(2, {}, map), module(3))).toEqual([
      failure('cluster.columnstore', 'the owners of dbroots: db1, db3 have pm1: 1, pm2: 2, pm3: 3; db2 have pm1: 1, pm2: 3, pm3: 2'),
    ]);
  });

  it('in where a dbroot lies', () => {
    const { dbroots = [] } = engineFacts(2);
    const moved = dbroots.map((dbroot) => (dbroot.number === 3 ? { ...dbroot, path: '/srv/data3' } : dbroot));
    expect(notOk(module(1), module(2, { dbroots: moved }), module(3))).toEqual([
      failure('cluster.columnstore', expect.stringMatching(/3 in \/var\/lib\/columnstore\/data3; db2 have .*3 in \/srv\/data3$/)),
    ]);
  });

  it('in the address of a module', () => {
    const { modules = [] } = engineFacts(2);
    const elsewhere = modules.map((each) => (each.id === 3 ? { ...each, addresses: ['10.0.0.33'] } : each));
    expect(notOk(module(1), module(2, { modules: elsewhere }), module(3))).toEqual([
      failure(
        'cluster.columnstore',
        expect.stringMatching(/db1, db3 have .*pm3 at 10\.0\.0\.3\/pm3; db2 have .*pm3 at 10\.0\.0\.33\/pm3$/),
      ),
    ]);
  });
});

it('fails for a module without an agent: its dbroots would be missing, its clients not be made to wait', () => {
  expect(notOk(module(1), module(3))).toEqual([
    failure('cluster.modules', 'no node that answers is pm2 (pm2, 10.0.0.2), which owns dbroot 2'),
  ]);
});

it('fails for a module whose node does not answer, and says so', () => {
  const results = checks([module(1), module(3)], ['db2']);
  expect(results.map(({ status }) => status)).toEqual([CheckStatus.WARNING, CheckStatus.FAILED, CheckStatus.WARNING]);
  for (const { message } of results) expect(message).toMatch(/not checked: db2 \(no answer\)$/);
});

it('fails for two nodes that say that they are the same module', () => {
  const copy = { ...module(2), node: 'db9' };
  expect(notOk(module(1), module(2), copy, module(3))).toEqual([failure('cluster.modules', 'db2, db9 all say that they are pm2')]);
  expect(notOk(module(1), { ...module(1), node: 'db9' }, module(2), module(3)).map(({ name }) => name)).toEqual([
    'cluster.modules',
    'cluster.engine_primary',
  ]);
});

it('fails where no node is the owner of dbroot 1', () => {
  expect(notOk(module(2), module(3))).toEqual([
    failure('cluster.modules', expect.stringContaining('pm1 (pm1, 10.0.0.1), which owns dbroot 1')),
    failure('cluster.engine_primary', 'no node that answers owns dbroot 1'),
  ]);
});

it('does not call a file that cannot be understood the same as others', () => {
  const broken = nodeView(
    'db1',
    {},
    { columnstore: { configFile: '/etc/columnstore/Columnstore.xml', contradictions: ['not well-formed'] } },
  );
  expect(notOk(broken)).toEqual([
    failure('cluster.columnstore', 'no Columnstore.xml of db1 can be understood'),
    failure('cluster.modules', 'it is not known which module db1 is'),
    failure('cluster.engine_primary', 'no node that answers owns dbroot 1'),
  ]);
});

it('warns when the primary of the engine is not that of replication', () => {
  const [one, two] = [module(1, {}, { 1: 2, 2: 1 }), module(2, {}, { 1: 2, 2: 1 })];
  expect(notOk(one, two)).toEqual([
    {
      name: 'cluster.engine_primary',
      status: CheckStatus.WARNING,
      code: '',
      message: 'db2 is the primary of the engine, and db1 that of replication',
    },
  ]);
});

it('warns of what a restore will refuse: different releases, and user modules', () => {
  const warns = (name: string, message: unknown) => ({ name, status: CheckStatus.WARNING, code: '', message });
  expect(notOk(module(1), module(2, { version: '22.08.9' }), module(3))).toEqual([
    warns('cluster.engine_release', 'the engine is of different releases: db1, db3 have 6.4.12; db2 have 22.08.9'),
  ]);
  const user = nodeView('db4', follows('db1'), { columnstore: engineFacts(9, ONE_EACH, { module: 0 }) });
  expect(notOk(module(1), module(2), module(3), user)).toEqual([
    warns('cluster.user_modules', 'db4 is a user module, apart from the modules that hold the data'),
  ]);
});
