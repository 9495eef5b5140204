import { StillpointError } from '@stillpoint/shared/errors';
import { decodeSetManifest, encodeManifest } from '@stillpoint/shared/manifest';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { type FakeCluster, failure, fakeCluster, type Identities, identities, type WatchedRun, watchedRun } from './fake-cluster.ts';

let ids: Identities;
let cluster: FakeCluster;

beforeAll(async () => {
  ids = await identities();
});
afterAll(() => ids?.remove());
afterEach(() => cluster?.remove());

const none = new AbortController().signal;
const list = (options: { all?: boolean; rescan?: boolean } = {}) =>
  cluster.controller.listSets({ all: false, rescan: false, ...options }, none);
const listed = async (): Promise<string[]> => (await list()).map(({ setId }) => setId);
const backup = async (run: WatchedRun = watchedRun()) => cluster.controller.createBackup({}, run);
/** Sets that are made one after the other, oldest first. */
async function backups(count: number): Promise<string[]> {
  const made: string[] = [];
  for (let n = 0; n < count; n += 1) made.push((await backup()).set.setId);
  return made;
}
/** Nodes on which something of a set lies. */
const holders = (setId: string): string[] => cluster.nodes.filter(({ repository }) => repository.has(setId)).map(({ name }) => name);
const prune = (keepLast: number) => cluster.controller.pruneSets({ keepLast }, watchedRun());
const warnings = (run: WatchedRun): string[] => run.events.flatMap((event) => (event.type === 'warning' ? [event.message] : []));
const diskError = () => {
  throw new StillpointError('INTERNAL', 'EIO: the disk does not answer');
};

describe('after a good backup', () => {
  beforeEach(async () => {
    cluster = await fakeCluster(ids, undefined, { retention: { keepLast: 2 } });
  });

  it('what no rule keeps is removed from every node', async () => {
    const [first = '', second = '', third = ''] = await backups(3);
    expect(holders(first)).toEqual([]);
    expect(await listed()).toEqual([third, second]);
    expect((await list({ rescan: true })).map(({ setId }) => setId)).toEqual([third, second]);
  });

  it('the report tells what was removed, in an operation of its own', async () => {
    const [first = ''] = await backups(2);
    const run = watchedRun();
    const { pruned } = await backup(run);
    expect(pruned?.sets.map(({ outcome }) => outcome)).toEqual(['kept', 'kept', 'removed']);
    expect(pruned?.sets.at(-1)).toMatchObject({ setId: first, reasons: ['no rule keeps it'], bytes: 300, problems: [] });
    expect(run.events).toContainEqual(expect.objectContaining({ type: 'operation', kind: 'prune', operationId: pruned?.operationId }));
  });

  it('one that fails leaves the set good and warns; the next one removes the rest', async () => {
    const [first = ''] = await backups(2);
    cluster.node('db2').faults.once('deletePart', diskError);
    const run = watchedRun();
    const { set } = await backup(run);
    expect(warnings(run)).toEqual([`set ${first} is not removed everywhere: db2: INTERNAL: EIO: the disk does not answer`]);
    expect(holders(first)).toEqual(['db2']);
    expect(await listed()).toContain(set.setId);
    await backup();
    expect(holders(first)).toEqual([]);
    expect((await list({ all: true })).map(({ setId }) => setId)).not.toContain(first);
  });

  it('one that cannot begin is a warning too', async () => {
    await backups(2);
    const run = watchedRun();
    const making = backup(run);
    await run.until((event) => event.type === 'phase-ended' && event.phase === 'commit');
    for (const { network } of cluster.nodes) network.sever();
    const { pruned } = await making;
    expect(pruned).toBeUndefined();
    expect(warnings(run).at(-1)).toMatch(/^old sets were not removed: /);
    expect(await list()).toHaveLength(3);
  });

  it('that failed, nothing is removed', async () => {
    await backups(2);
    cluster.node('db3').faults.once('task.capture', diskError);
    await failure(backup());
    expect(await list()).toHaveLength(2);
    for (const { history } of cluster.nodes) expect(history).not.toContain('part deleted');
  });
});

describe('by hand', () => {
  beforeEach(async () => {
    cluster = await fakeCluster(ids);
  });

  it('nothing is removed where no rule says what to keep', async () => {
    const made = await backups(2);
    expect(await failure(cluster.controller.pruneSets(undefined, watchedRun()))).toMatchObject({ code: 'USAGE' });
    expect(await listed()).toEqual(made.toReversed());
  });

  it('a look beforehand tells the same and touches nothing', async () => {
    await backups(3);
    const planned = await cluster.controller.planPrune({ keepLast: 1 }, none);
    expect(planned).toMatchObject({ dryRun: true, operationId: '' });
    for (const { history } of cluster.nodes) expect(history).not.toContain('part deleted');
    const done = await prune(1);
    const outcomes = (report: typeof done) => report.sets.map(({ setId, outcome, reasons }) => ({ setId, outcome, reasons }));
    expect(outcomes(done)).toEqual(outcomes(planned));
    expect(await list()).toHaveLength(1);
  });

  it('a node that another operation has is not touched', async () => {
    await backups(2);
    const gate = cluster.node('db2').faults.gate('task.capture');
    const other = await fakeControllerOfTheSame();
    const making = other.createBackup({}, watchedRun());
    await gate.reached;
    expect(await failure(prune(1))).toMatchObject({ code: 'NODE_BUSY' });
    gate.open();
    await making;
    await other.close();
    expect(await list({ rescan: true })).toHaveLength(3);
  });
});

/** A controller of the same cluster on another host: with a state directory of its own. */
async function fakeControllerOfTheSame() {
  const { openController } = await import('../../packages/controller/src/index.ts');
  const { systemClock } = await import('@stillpoint/shared/time');
  return openController({ config: { ...cluster.config, stateDir: `${cluster.config.stateDir}/other` }, clock: systemClock });
}

describe('a node that is away', () => {
  beforeEach(async () => {
    cluster = await fakeCluster(ids);
  });

  it('keeps no set from being removed elsewhere; it is not good meanwhile, and removed there later', async () => {
    const [first = '', second = ''] = await backups(2);
    cluster.node('db3').network.sever();
    const report = await prune(1);
    expect(report.silent.map(({ node }) => node)).toEqual(['db3']);
    expect(report.sets.find(({ setId }) => setId === first)).toMatchObject({
      outcome: 'begun',
      problems: ['db3 could not be reached: its share is removed by a later run'],
    });
    expect(holders(first)).toEqual(['db3']);
    expect(await listed()).toEqual([second]);
    expect((await list({ rescan: true })).map(({ setId }) => setId)).toEqual([second]);

    cluster.node('db3').network.mend();
    expect((await list({ all: true, rescan: true })).find(({ setId }) => setId === first)).toMatchObject({ state: 'failed' });
    expect(await failure(cluster.controller.showSet(first, none))).toMatchObject({ code: 'SET_NOT_FOUND' });
    const again = await prune(1);
    expect(again.sets.find(({ setId }) => setId === first)).toMatchObject({ outcome: 'removed', bytes: 100 });
    expect(holders(first)).toEqual([]);
    expect((await list({ all: true, rescan: true })).map(({ setId }) => setId)).toEqual([second]);
  });

  it('is cleaned of what was deleted meanwhile', async () => {
    const [first = ''] = await backups(2);
    cluster.node('db3').network.sever();
    await prune(1);
    cluster.node('db3').network.mend();
    expect((await cluster.controller.cleanNodes({ dryRun: true }, watchedRun())).deletions).toMatchObject([{ setId: first }]);
    expect(holders(first)).toEqual(['db3']);
    const cleaned = await cluster.controller.cleanNodes({ dryRun: false }, watchedRun());
    expect(cleaned.deletions).toMatchObject([{ setId: first, outcome: 'removed', bytes: 100 }]);
    expect(holders(first)).toEqual([]);
  });

  it('that goes in the middle is left for later as well', async () => {
    const [first = ''] = await backups(2);
    const { faults, network } = cluster.node('db3');
    faults.once('deletePart', () => network.sever());
    const report = await prune(1);
    expect(report.sets.find(({ setId }) => setId === first)).toMatchObject({ outcome: 'begun' });
    network.mend();
    await prune(1);
    expect(holders(first)).toEqual([]);
    expect((await list({ all: true, rescan: true })).map(({ setId }) => setId)).not.toContain(first);
  });

  it('does not cost a set its mark, nor its place among the good ones', async () => {
    const [first = '', second = ''] = await backups(2);
    cluster.node('db3').network.sever();
    expect((await prune(2)).sets.map(({ outcome }) => outcome)).toEqual(['kept', 'kept']);
    expect((await list({ rescan: true })).map(({ setId, state }) => [setId, state])).toEqual([
      [second, 'good'],
      [first, 'good'],
    ]);
  });

  it('all of them: nothing is begun', async () => {
    const made = await backups(2);
    for (const { network } of cluster.nodes) network.sever();
    expect((await failure(prune(1))).row.exit).toBe('UNREACHABLE');
    for (const { network } of cluster.nodes) network.mend();
    expect(await listed()).toEqual(made.toReversed());
  });
});

describe('a protected set', () => {
  beforeEach(async () => {
    cluster = await fakeCluster(ids);
  });
  const protect = (setId: string, on = true) => cluster.controller.protectSet(setId, on, watchedRun());

  it('is marked on every node, stays, and says so', async () => {
    const [first = '', , third = ''] = await backups(3);
    expect(await protect(first)).toEqual({ setId: first, protect: true, nodes: ['db1', 'db2', 'db3'], silent: [] });
    expect(cluster.nodes.every(({ marks }) => marks.has(first))).toBe(true);
    expect((await list()).map(({ isProtected }) => isProtected)).toEqual([false, false, true]);
    expect((await prune(1)).sets.at(-1)).toMatchObject({ setId: first, outcome: 'kept', reasons: ['protected'] });
    expect(await listed()).toEqual([third, first]);
    expect(await failure(cluster.controller.deleteSet(first, watchedRun()))).toMatchObject({ code: 'SET_PROTECTED' });
    expect((await cluster.controller.showSet(first, none)).isProtected).toBe(true);
    await protect(first, false);
    await prune(1);
    expect(holders(first)).toEqual([]);
  });

  it('is protected by the mark of one node, whoever set it, and before a byte goes', async () => {
    const [first = ''] = await backups(2);
    cluster.node('db2').marks.add(first);
    expect(await failure(cluster.controller.deleteSet(first, watchedRun()))).toMatchObject({ code: 'SET_PROTECTED' });
    expect(holders(first)).toEqual(['db1', 'db2', 'db3']);
    expect((await list()).map(({ state }) => state)).toEqual(['good', 'good']);
    await prune(1);
    expect(holders(first)).toEqual(['db1', 'db2', 'db3']);
    // That look has brought the mark into the catalog.
    expect((await list()).at(-1)).toMatchObject({ setId: first, isProtected: true });
  });

  it('stays so when the catalog is made anew', async () => {
    const [first = ''] = await backups(1);
    await protect(first);
    const other = await fakeControllerOfTheSame();
    expect(await other.listSets({ all: false, rescan: true }, none)).toMatchObject([{ setId: first, isProtected: true }]);
    await other.close();
  });

  it('keeps its protection until every node has been told of the end of it', async () => {
    const [first = ''] = await backups(2);
    await protect(first);
    cluster.node('db3').network.sever();
    expect(await protect(first, false)).toMatchObject({ nodes: ['db1', 'db2'], silent: [{ node: 'db3' }] });
    await prune(1);
    expect(holders(first)).toEqual(['db1', 'db2', 'db3']);
    cluster.node('db3').network.mend();
    expect((await list({ rescan: true })).at(-1)).toMatchObject({ setId: first, isProtected: true });
    expect(await protect(first, false)).toMatchObject({ nodes: ['db1', 'db2', 'db3'], silent: [] });
    await prune(1);
    expect(holders(first)).toEqual([]);
  });

  it('keeps it when the node with the mark is away, and another has lost its share', async () => {
    const [first = ''] = await backups(1);
    await protect(first);
    for (const name of ['db1', 'db2']) cluster.node(name).marks.clear();
    cluster.node('db2').repository.clear();
    cluster.node('db3').network.sever();
    expect(await list({ rescan: true })).toMatchObject([{ setId: first, state: 'incomplete', isProtected: true }]);
  });

  it('that has lost a share is protected where there is something to protect', async () => {
    const [first = ''] = await backups(1);
    cluster.node('db2').repository.clear();
    expect(await protect(first)).toMatchObject({ nodes: ['db1', 'db3'], silent: [] });
    for (const { repository } of cluster.nodes) repository.clear();
    expect(await failure(protect(first))).toMatchObject({ code: 'SET_NOT_FOUND' });
  });

  it('must be one that can be restored', async () => {
    expect(await failure(protect('20200101-000000-00000000'))).toMatchObject({ code: 'SET_NOT_FOUND' });
  });
});

describe('a set that is in use', () => {
  beforeEach(async () => {
    cluster = await fakeCluster(ids);
  });

  it('by a restore of this controller which has not come to its switch stays', async () => {
    const [first = ''] = await backups(2);
    const plan = await cluster.controller.planRestore(
      { setId: first, replicas: 'auto', replication: 'start', restoreConfiguration: false },
      none,
    );
    // No node has staged anything, so none has a word of it.
    for (const { faults } of cluster.nodes) faults.at('task.stage', diskError);
    await failure(cluster.controller.runRestore(plan.id, { ...watchedRun(), stopServers: true }));
    const [restore] = cluster.controller.listRestores();
    expect(restore?.state).toBe('failed');
    expect((await prune(1)).sets.at(-1)).toMatchObject({
      setId: first,
      outcome: 'kept',
      reasons: [`${restore?.operationId} has yet to read it`],
    });
    await cluster.controller.rollbackRestore(restore?.operationId ?? '', watchedRun());
    await prune(1);
    expect(holders(first)).toEqual([]);
  });

  it('by a restore of another controller stays on all nodes, as the one on which it is says so', async () => {
    const [first = ''] = await backups(2);
    cluster.node('db2').restore = {
      operationId: 'restore-of-another',
      phase: 'staged',
      staged: `${first}/db1`,
      kept: '',
      dbroots: undefined,
    };
    expect((await prune(1)).sets.at(-1)).toMatchObject({ outcome: 'kept', reasons: ['restore-of-another has yet to read it'] });
    expect(await failure(cluster.controller.deleteSet(first, watchedRun()))).toMatchObject({
      code: 'RESTORE_UNFINISHED',
      message: expect.stringContaining('restore-of-another'),
    });
    expect(holders(first)).toEqual(['db1', 'db2', 'db3']);
  });
});

describe('a set that others need', () => {
  beforeEach(async () => {
    cluster = await fakeCluster(ids);
  });
  /** As if `user` had been made as an increment of `used`. */
  const lean = async (user: string, used: string): Promise<void> => {
    for (const { repository } of cluster.nodes) {
      const entry = repository.get(user);
      if (entry?.set === undefined) throw new Error(`no set ${user}`);
      entry.set = encodeManifest({ ...decodeSetManifest(entry.set, user), parent: used, uses: [used] });
    }
    await list({ rescan: true });
  };

  it('stays, with the name of the one that needs it', async () => {
    const [first = '', second = ''] = await backups(2);
    await lean(second, first);
    expect((await prune(1)).sets.at(-1)).toMatchObject({ setId: first, outcome: 'kept', reasons: [`${second} needs it`] });
    expect(await failure(cluster.controller.deleteSet(first, watchedRun()))).toMatchObject({
      code: 'SET_NEEDED',
      message: expect.stringContaining(second),
    });
    expect(await listed()).toEqual([second, first]);
  });

  it('goes in one run with all that need it, after them', async () => {
    const [first = '', second = '', third = ''] = await backups(3);
    await lean(second, first);
    const order: string[] = [];
    for (const { faults, repository } of cluster.nodes)
      faults.at('deletePart', () => void order.push(repository.has(second) ? second : first));
    await prune(1);
    expect(await listed()).toEqual([third]);
    expect(order).toEqual([second, second, second, first, first, first]);
  });
});

it('cleaning tells what every node found, removes it when asked to, and names sets that have lost a share', async () => {
  cluster = await fakeCluster(ids);
  const [first = ''] = await backups(1);
  cluster.node('db2').repository.clear();
  const looked = await cluster.controller.cleanNodes({ dryRun: true }, watchedRun());
  expect(looked.leftovers.map(({ node, removed }) => [node, removed])).toEqual([
    ['db1', false],
    ['db2', false],
    ['db3', false],
  ]);
  expect(looked.lost).toEqual([{ setId: first, reason: 'set.json is missing on db2' }]);
  cluster.node('db3').network.sever();
  const cleaned = await cluster.controller.cleanNodes({ dryRun: false }, watchedRun());
  expect(cleaned.leftovers.map(({ node, removed }) => [node, removed])).toEqual([
    ['db1', true],
    ['db2', true],
  ]);
  expect(cleaned.silent).toMatchObject([{ node: 'db3' }]);
  expect(holders(first)).toEqual(['db1', 'db3']);
  await eventually(() => cluster.nodes.every(({ history, name }) => name === 'db3' || history.at(-1) === 'given back'), 15_000);
});
