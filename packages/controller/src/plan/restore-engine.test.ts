import { StillpointError } from '@stillpoint/shared/errors';
import { dbrootStagingBytes } from '@stillpoint/shared/manifest';
import { ColumnstoreGeneration } from '@stillpoint/shared/proto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { follows, member, nodeView } from '../../../../test/controller/builders.ts';
import {
  DBROOT_BYTES,
  type DbrootMap,
  engineFacts,
  engineRestoreFacts,
  moduleMember,
  modulePart,
  moduleView,
  ONE_EACH,
} from '../../../../test/controller/engine-builders.ts';
import type { RestoreRequest } from '../api.ts';
import { changesSince } from './changes.ts';
import { type PlannedNode, planRestore, type RestoreFacts, type RestorePlan } from './restore.ts';
import type { NodeView } from './topology.ts';

/** Bytes that a dbroot of the fixtures takes when it is staged. */
const NEED = dbrootStagingBytes({ dataBytes: DBROOT_BYTES, files: 10, directories: 4 });
const REQUEST: RestoreRequest = { setId: 'latest', replicas: 'auto', replication: 'print', restoreConfiguration: false };

const plan = (facts: RestoreFacts, request: Partial<RestoreRequest> = {}): RestorePlan =>
  planRestore('plan-1', new Date('2026-11-21T10:00:00Z'), { ...REQUEST, ...request }, facts);

const nodeOf = ({ nodes }: RestorePlan, node: string): PlannedNode => {
  const found = nodes.find((other) => other.node === node);
  if (found === undefined) throw new Error(`${node} is not planned`);
  return found;
};
const problems = ({ problems: all }: RestorePlan): string[] =>
  all.map(({ node, message }) => (node === '' ? message : `${node}: ${message}`));
/** From whose part each dbroot comes, and onto which node. */
const moves = ({ nodes }: RestorePlan): [number, string, string][] =>
  nodes
    .flatMap(({ dbroots, node }) => dbroots.map(({ from, number }): [number, string, string] => [number, from, node]))
    .toSorted(([a], [b]) => a - b);
const replaced = (facts: RestoreFacts, ...views: readonly NodeView[]): RestoreFacts => ({
  ...facts,
  nodes: facts.nodes.map((each) => views.find(({ node }) => node === each.node) ?? each),
});

describe('a plan for a cluster with an engine', () => {
  it('brings every dbroot back to where it was, and has no problems when all is as it should be', () => {
    const made = plan(engineRestoreFacts());
    expect(problems(made)).toEqual([]);
    expect(made.warnings).toEqual([]);
    expect(made.columnstore).toMatchObject({ version: '6.4.12', primary: 'db1' });
    expect(nodeOf(made, 'db2')).toMatchObject({
      ...{ image: 'db2', storedBytes: 2 * 1024 ** 3 },
      engine: { module: 2, primary: false, version: '6.4.12', running: [] },
      dbroots: [
        {
          number: 2,
          from: 'db2',
          path: '/var/lib/columnstore/data2',
          dataBytes: DBROOT_BYTES,
          needBytes: NEED,
          replacesBytes: DBROOT_BYTES,
        },
      ],
    });
    // What the dbroots need is not asked of the data directory's file system as well.
    expect(nodeOf(made, 'db2').needBytes).toBeLessThan(6 * 1024 ** 3);
  });

  it('finds the home of every dbroot by its number, whatever nodes and numbers there are', () => {
    const numbers = fc.uniqueArray(fc.integer({ min: 2, max: 60 }), { maxLength: 9 }).map((more) => [1, ...more]);
    const owner = fc.integer({ min: 1, max: 5 });
    const maps = numbers.chain((all) =>
      fc.record({
        before: fc.tuple(...all.map(() => owner)).map((owners) => mapOf(all, owners)),
        now: fc.tuple(...all.map(() => owner)).map((owners) => mapOf(all, owners)),
        reversed: fc.boolean(),
      }),
    );
    fc.assert(
      fc.property(maps, ({ before, now, reversed }) => {
        const facts = engineRestoreFacts(before, now);
        const made = plan(reversed ? { ...facts, nodes: facts.nodes.toReversed() } : facts);
        expect(problems(made)).toEqual([]);
        const expected = Object.entries(now).map(([number, to]) => [Number(number), `db${before[Number(number)]}`, `db${to}`]);
        expect(moves(made)).toEqual(expected);
      }),
    );
  });

  it('makes a dbroot empty that the set does not have, and says so', () => {
    const made = plan(engineRestoreFacts(ONE_EACH, { ...ONE_EACH, 4: 3 }));
    expect(problems(made)).toEqual([]);
    expect(moves(made).at(-1)).toEqual([4, '', 'db3']);
    expect(made.warnings).toEqual(expect.arrayContaining([expect.stringContaining('db3: dbroot 4 is not in the set and becomes empty')]));
  });

  it('includes a module that the set does not know', () => {
    const facts = engineRestoreFacts(ONE_EACH, { 1: 1, 2: 2, 3: 4 });
    const set = { ...facts.set, members: facts.set.members.filter(({ node }) => node !== 'db4') };
    const made = plan({ ...facts, set, parts: new Map([...facts.parts].filter(([node]) => node !== 'db4')) });
    expect(problems(made)).toEqual([]);
    expect(nodeOf(made, 'db4')).toMatchObject({ image: 'db1', roles: ['sql', 'pm'], dbroots: [{ number: 3, from: 'db3' }] });
    const { mariadb: _, ...bare } = moduleView('db4', { 1: 1, 2: 2, 3: 4 }).facts;
    const withoutServer = plan({ ...replaced(facts, { node: 'db4', address: 'db4:7443', facts: bare }), set }, { replication: 'start' });
    expect(nodeOf(withoutServer, 'db4')).toMatchObject({ image: '', roles: ['pm'], needBytes: 0, dbroots: [{ number: 3, from: 'db3' }] });
    expect(problems(withoutServer)).toEqual([]);
  });

  it('tells of an engine that runs, which the restore may be allowed to stop', () => {
    const made = plan(replaced(engineRestoreFacts(), moduleView('db3', ONE_EACH, { running: true })));
    expect(problems(made)).toEqual([]);
    expect(nodeOf(made, 'db3').engine?.running).toEqual(['workernode', 'PrimProc']);
    expect(made.warnings.join()).toContain('db3: the engine is running (workernode, PrimProc)');
  });

  it('takes what a wiped node had from its part, when the configuration comes back', () => {
    const facts = replaced(engineRestoreFacts(), nodeView('db2', { running: false }));
    const without = new Map(facts.parts).set('db2', modulePart(moduleMember('db2'), { configuration: [] }));
    expect(problems(plan({ ...facts, parts: without }, { restoreConfiguration: true }))).toContain('no node owns dbroot 2 of the set');
    const made = plan(facts, { restoreConfiguration: true });
    expect(problems(made)).toEqual([]);
    expect(moves(made)).toEqual([
      [1, 'db1', 'db1'],
      [2, 'db2', 'db2'],
      [3, 'db3', 'db3'],
    ]);
    expect(made.warnings).toEqual([
      "db2: Columnstore.xml is gone; it comes back with the configuration of the node's own part. Whether its engine is new enough, staging tells",
    ]);
    expect(problems(plan(facts))).toEqual(
      expect.arrayContaining([
        'no node owns dbroot 2 of the set',
        expect.stringContaining('names module pm2 (pm2, 10.0.0.2), which no node'),
      ]),
    );
  });
});

describe('nodes that are named', () => {
  it('are all modules of the engine, or none', () => {
    const facts = engineRestoreFacts(ONE_EACH, ONE_EACH, ['db4']);
    expect(problems(plan(facts, { nodes: ['db1', 'db2'], leaveReplicas: true }))).toEqual([
      'db3: is module pm3 of the engine and would be left as it is: all dbroots and the block resolution manager are one image',
    ]);
    const alone = plan(facts, { nodes: ['db4'] });
    expect(problems(alone)).toEqual([]);
    expect(alone.columnstore).toBeUndefined();
    expect(alone.warnings.join()).not.toContain('the engine stays as it is');
    const first = engineRestoreFacts({ 1: 2, 2: 3 });
    expect(plan(first, { nodes: ['db1'], leaveReplicas: true }).warnings.join()).toContain('db1: the engine stays as it is');
    expect(alone.nodes).toMatchObject([{ node: 'db4', dbroots: [], engine: undefined }]);
    expect(problems(plan(facts, { nodes: ['db1', 'db2', 'db3'], leaveReplicas: true }))).toEqual([]);
  });
});

describe('modules that are named one by one', () => {
  const held = (numbers: string) =>
    `held dbroot ${numbers} of the set, which no node that answers owns now: its ColumnStore tables would have no rows`;
  const named = (facts: RestoreFacts, ...nodes: string[]) => problems(plan(facts, { nodes, leaveReplicas: true }));

  it('do not come back without their dbroots', () => {
    const facts = engineRestoreFacts();
    const gone = (...nodes: string[]) => replaced(facts, ...nodes.map((node) => nodeView(node, { running: false })));
    expect(named(gone('db1', 'db2', 'db3'), 'db1', 'db2', 'db3')).toEqual([`db1: ${held('1')}`, `db2: ${held('2')}`, `db3: ${held('3')}`]);
    expect(named(gone('db2'), 'db2')).toEqual([`db2: ${held('2')}`]);
  });

  it('may come back as mere SQL servers, where others own what they held', () => {
    expect(named(engineRestoreFacts(ONE_EACH, { 1: 1, 2: 2, 3: 2 }), 'db3')).toEqual([]);
  });
});

describe('problems of the engine', () => {
  const with3 = (changes: Parameters<typeof moduleView>[2]): string[] =>
    problems(plan(replaced(engineRestoreFacts(), moduleView('db3', ONE_EACH, changes))));

  const planOfAll = (changes: Parameters<typeof moduleView>[2]): RestorePlan =>
    plan(replaced(engineRestoreFacts(), ...['db1', 'db2', 'db3'].map((node) => moduleView(node, ONE_EACH, changes))));

  it('a dbroot of the set that no node owns', () => {
    expect(problems(plan(engineRestoreFacts(ONE_EACH, { 1: 1, 2: 2 })))).toEqual(['no node owns dbroot 3 of the set']);
  });

  it('no owner of dbroot 1, or two', () => {
    expect(problems(plan(engineRestoreFacts({ 1: 1, 2: 2 }, { 2: 2 })))).toEqual([
      'no node owns dbroot 1',
      'no node owns dbroot 1 of the set',
    ]);
    const two = replaced(engineRestoreFacts(), moduleView('db2', { 1: 2, 2: 2, 3: 3 }));
    expect(problems(plan(two))).toEqual(
      expect.arrayContaining([
        'db1, db2 all say that they own dbroot 1',
        'dbroot 1 is owned by db1 and by db2',
        expect.stringContaining('Columnstore.xml differs'),
      ]),
    );
  });

  it('a dbroot that lies in two parts of the set', () => {
    const facts = engineRestoreFacts();
    const members = facts.set.members.map((each) => (each.node === 'db3' ? { ...each, dbroots: [2, 3] } : each));
    expect(problems(plan({ ...facts, set: { ...facts.set, members } }))).toEqual(['dbroot 2 lies in the parts of db2, db3']);
  });

  it('files that differ: both sides are named', () => {
    expect(with3({ configRevision: 8n })).toEqual(['Columnstore.xml differs: ConfigRevision: db1, db2 have 7; db3 have 8']);
  });

  it('a file that contradicts its node, also where it is in doubt which module that is', () => {
    expect(with3({ contradictions: ['local/module says pm2'] })).toEqual(['db3: local/module says pm2']);
    expect(with3({ contradictions: ['local/module is missing'], module: 0 })).toEqual(
      expect.arrayContaining(['db3: local/module is missing', 'no node owns dbroot 3 of the set']),
    );
  });

  it('object storage', () => {
    expect(with3({ storage: 'storagemanager' })).toEqual(['db3: keeps its ColumnStore data in storagemanager, which is not supported']);
  });

  it.each([
    ['an older generation', { generation: ColumnstoreGeneration.V1_4, version: '1.4.5' }],
    ['an older major version of the same layout', { version: '5.6.1' }],
  ])('%s than that of the set', (_, changes) => {
    expect(problems(planOfAll(changes))).toEqual(
      ['db1', 'db2', 'db3'].map((node) =>
        expect.stringMatching(new RegExp(`^${node}: has ColumnStore (1.4.5|5.6.1), the set is of 6.4.12, which`)),
      ),
    );
  });

  it('no problem: a newer engine on all nodes, told as a warning', () => {
    const made = planOfAll({ generation: ColumnstoreGeneration.V22_08, version: '22.08.9' });
    expect(problems(made)).toEqual([]);
    expect(made.warnings).toEqual(['db1', 'db2', 'db3'].map((node) => `${node}: has ColumnStore 22.08.9, the set is of 6.4.12`));
  });

  it('engines of different releases, but for the last of their numbers', () => {
    const newer = 'the engine is of different releases: db1, db2 have 6.4.12; db3 have ';
    expect(with3({ generation: ColumnstoreGeneration.V22_08, version: '22.08.9' })).toEqual([`${newer}22.08.9`]);
    expect(with3({ version: '6.5.1' })).toEqual([`${newer}6.5.1`]);
    expect(with3({ generation: ColumnstoreGeneration.V22_08, version: '' })).toEqual([`${newer}generation 22.08`]);
    expect(with3({ version: '6.4.13' })).toEqual([]);
    expect(with3({ version: '' })).toEqual([]);
  });

  it('user modules apart from the data, and modules without any SQL server', () => {
    const facts = engineRestoreFacts(ONE_EACH, ONE_EACH, ['db4']);
    const user = nodeView('db4', { running: false, ...follows('10.0.0.1') }, { columnstore: engineFacts(9, ONE_EACH, { module: 0 }) });
    expect(problems(plan(replaced(facts, user)))).toEqual([expect.stringMatching(/^db4: is a user module of ColumnStore, apart/)]);
    const bare = ['db1', 'db2', 'db3'].map((node) => {
      const {
        facts: { mariadb: _, ...without },
        ...view
      } = moduleView(node);
      return { ...view, facts: without };
    });
    const dataOnly = facts.set.members.filter(({ node }) => node !== 'db4').map((each) => ({ ...each, roles: ['pm' as const] }));
    expect(problems(plan({ ...replaced(facts, ...bare), set: { ...facts.set, members: dataOnly } }))).toEqual([
      'none of db1, db2, db3 has a SQL server to read ColumnStore tables through',
    ]);
  });

  it('an image that cannot be read, is another one, or is not there', () => {
    const facts = engineRestoreFacts(ONE_EACH, { 1: 1, 2: 1, 3: 3 });
    const having = (part: ReturnType<typeof modulePart> | { error: StillpointError } | undefined): string[] => {
      const parts = new Map([...facts.parts].filter(([node]) => node !== 'db2'));
      if (part !== undefined) parts.set('db2', part);
      return problems(plan({ ...facts, parts })).filter((text) => text.includes('dbroot'));
    };
    const own = modulePart(moduleMember('db2'));
    expect(having({ error: new StillpointError('PART_NOT_FOUND', 'no part.json') })).toEqual([
      'db1: dbroot 2: the part of db2 cannot be used: no part.json',
    ]);
    expect(having({ ...own, sha256: 'f'.repeat(64) })).toEqual(['db1: dbroot 2: part.json of db2 is not the one that the set recorded']);
    expect(having(undefined)).toEqual(['db1: dbroot 2: its image lies on db2, which is not in the cluster configuration']);
    expect(having({ ...modulePart(moduleMember('db2', { 7: 2 })), sha256: own.sha256 })).toEqual([
      'db1: dbroot 2: the part of db2 does not hold it',
    ]);
  });

  it('too little space beside a dbroot', () => {
    const view = moduleView('db3');
    const dbroots = (view.facts.columnstore?.dbroots ?? []).map((each) => ({ ...each, freeBytes: each.owned ? 1_000n : 0n }));
    expect(with3({ dbroots })).toEqual([`db3: dbroot 3: needs ${NEED} bytes beside /var/lib/columnstore/data3, 1000 are free`]);
  });

  it('a full file system, which is not one that nobody has looked at', () => {
    const view = moduleView('db3');
    const dbroots = (view.facts.columnstore?.dbroots ?? []).map((each) => ({ ...each, freeBytes: 0n }));
    expect(with3({ dbroots })).toEqual([`db3: dbroot 3: needs ${NEED} bytes beside /var/lib/columnstore/data3, 0 are free`]);
  });

  it('too little space for dbroot and data directory together is a warning', () => {
    const { facts } = moduleView('db3');
    const free = nodeOf(plan(engineRestoreFacts()), 'db3').needBytes + NEED;
    const having = (bytes: number): string[] => {
      const dbroots = (facts.columnstore?.dbroots ?? []).map((each) => ({ ...each, freeBytes: each.owned ? BigInt(bytes) : 0n }));
      const made = plan(replaced(engineRestoreFacts(), moduleView('db3', ONE_EACH, { dbroots })));
      expect(problems(made)).toEqual([]);
      return [...made.warnings];
    };
    expect(having(free)).toEqual([]);
    expect(having(free - 1)).toEqual([
      `db3: its data directory, dbroot 3 need ${free} bytes together: too many if they share the file system with ${free - 1} bytes free`,
    ]);
  });

  it('a set that holds nothing of the engine that is there', () => {
    const { columnstore: _, ...set } = engineRestoreFacts().set;
    const facts = { ...engineRestoreFacts(), set: { ...set, members: ['db1', 'db2', 'db3'].map((node) => member(node)) } };
    expect(problems(plan(facts))).toEqual(
      ['db1', 'db2', 'db3'].map((node) => expect.stringContaining(`${node}: is a module of ColumnStore, of which set`)),
    );
  });
});

it('a plan is stale when a dbroot has moved, or its engine was replaced', () => {
  const before = plan(engineRestoreFacts());
  expect(changesSince(before, plan(engineRestoreFacts()))).toEqual([]);
  expect(changesSince(before, plan(engineRestoreFacts(ONE_EACH, { 1: 1, 2: 3, 3: 2 })))).toEqual([
    expect.stringMatching(/^db2: its dbroots was 2 in .*data2 from db2 .*, is 3 in .*data3 from db3/),
    expect.stringMatching(/^db3: its dbroots was 3/),
  ]);
  const upgraded = replaced(engineRestoreFacts(), moduleView('db1', ONE_EACH, { version: '6.4.13' }));
  expect(changesSince(before, plan(upgraded))).toEqual([
    'db1: its engine was module pm1, the primary, of 6.4.12, is module pm1, the primary, of 6.4.13',
  ]);
});

function mapOf(numbers: readonly number[], owners: readonly number[]): DbrootMap {
  return Object.fromEntries(numbers.map((number, at) => [number, owners[at] ?? 1]));
}
