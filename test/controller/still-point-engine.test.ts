import { type ErrorCode, StillpointError, type TableLock } from '@stillpoint/shared/errors';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { ONE_EACH } from './engine-builders.ts';
import { type FakeCluster, failure, fakeCluster, type Identities, identities, watchedRun } from './fake-cluster.ts';
import type { FakeEngine, FakeModule } from './fake-engine.ts';

let ids: Identities;
let cluster: FakeCluster;

beforeAll(async () => {
  ids = await identities(['db1', 'db2', 'db3', 'db4']);
});
afterAll(() => ids?.remove());
/** db4 runs SQL only. */
beforeEach(async () => {
  cluster = await fakeCluster(ids, ONE_EACH);
});
afterEach(() => cluster?.remove());

const fails = (code: ErrorCode) => () => {
  throw new StillpointError(code, `injected ${code}`);
};
const backup = (run = watchedRun()) => cluster.controller.createBackup({}, run);
const module = (name: string): FakeModule => {
  const found = cluster.node(name).engine;
  if (found === undefined) throw new Error(`${name} is no module`);
  return found;
};
const engine = (): FakeEngine => module('db1').shared;
const LOCK: TableLock = {
  ...{ id: 50, table: 'shop.facts', process: 'DMLProc', pid: 7_879, session: '32', created: 'Fri Nov 20 12:35:28 2026' },
  ...{ state: 'LOADING', dbroots: [1, 2, 3], ageMs: 93_000 },
};

/** Nobody waits, the engine takes writes, nothing is left or offered, and the next backup works. */
async function expectNothingLeft(): Promise<void> {
  expect(engine().readOnly).toBe(false);
  for (const { history, locked, repository } of cluster.nodes) {
    expect(locked).toBe(false);
    expect(repository.size).toBe(0);
    expect(history).not.toContain('committed');
  }
  for (const { faults } of cluster.nodes) faults.clear();
  await backup();
}

/** What happened on a node between the first lock and the last. */
const inside = (name: string): string[] => {
  const { history } = cluster.node(name);
  return history.slice(history.indexOf('locked'), history.lastIndexOf('unlocked: released') + 1);
};

describe('a backup of a cluster with an engine', () => {
  it('drains all modules, suspends on the primary first, saves there alone, and resumes before SQL writers go on', async () => {
    const { set, engine: came } = await backup();
    const around = (phases: string[]) => ['locked', ...phases, 'capture started', 'capture succeeded'];
    expect(inside('db1')).toEqual([...around(['drained', 'suspended', 'saved']), 'resumed', 'unlocked: released']);
    expect(inside('db2')).toEqual([...around(['drained', 'confirmed']), 'unlocked: released']);
    expect(inside('db4')).toEqual([...around([]), 'unlocked: released']);
    expect(set.phases.map(({ phase }) => phase)).toEqual([
      ...['check', 'precopy', 'ready', 'quiesce', 'drain', 'suspend', 'confirm', 'flush', 'capture', 'attest', 'resume', 'publish'],
    ]);
    expect(came).toEqual([
      { node: 'db1', ms: 321, stuckLocks: [] },
      { node: 'db2', stuckLocks: [] },
      { node: 'db3', stuckLocks: [] },
    ]);
  });

  it('copies servers that cannot come to the gate before dbroots, whose changes meanwhile cost writers more', async () => {
    await backup();
    const precopies = (node: string): string[] =>
      [...cluster.node(node).journal.keys()].map((key) => key.split('/').at(-1) ?? '').filter((task) => task.startsWith('precopy'));
    expect(['db1', 'db2', 'db4'].map(precopies)).toEqual([
      ['precopy-server-1', 'precopy-1'],
      ['precopy-server-1', 'precopy-1'],
      ['precopy-server-1'],
    ]);
  });

  it('writes down which part holds which dbroot, and the engine as its primary had it', async () => {
    const { set } = await backup();
    expect(set.columnstore).toEqual({ version: '6.4.12', generation: '5', configRevision: 7, primary: 'db1' });
    expect(set.members.map(({ node, dbroots, roles }) => [node, dbroots, roles.includes('pm')])).toEqual([
      ['db1', [1], true],
      ['db2', [2], true],
      ['db3', [3], true],
      ['db4', [], false],
    ]);
    const [db1, , , db4] = set.members;
    expect(db1?.dataBytes).toBeGreaterThan(db4?.dataBytes ?? 0);
  });

  it('begins nothing when the nodes do not have the same Columnstore.xml', async () => {
    module('db2').configRevision = 8n;
    const error = await failure(backup());
    expect(error).toMatchObject({ code: 'COLUMNSTORE_CONFIG', message: expect.stringMatching(/ConfigRevision: .*db2 have 8/) });
    for (const { history } of cluster.nodes) expect(history).not.toContain('locked');
  });
});

describe('tables that stay locked', () => {
  it('end the attempt: all is released, the locks are told, and it is tried again', async () => {
    engine().locks = [LOCK];
    const run = watchedRun();
    const done = backup(run);
    await run.until(({ type }) => type === 'retry');
    engine().locks = [];
    const { set } = await done;
    expect(run.events.find(({ type }) => type === 'retry')).toMatchObject({ attempt: 1, node: 'db1', tableLocks: [LOCK], blockers: [] });
    for (const { history } of cluster.nodes) expect(history.filter((what) => what === 'locked')).toHaveLength(2);
    // Writers have waited twice.
    expect(set.members.slice(1).map(({ blockedMs }) => blockedMs)).toEqual([2_468, 2_468, 2_468]);
    expect(set.phases.map(({ phase }) => phase).filter((phase) => phase === 'quiesce' || phase === 'drain')).toEqual(['quiesce', 'drain']);
  });

  it('are given up after as many attempts as are configured, and are in the error', async () => {
    engine().locks = [LOCK];
    const error = await failure(backup());
    expect(error).toMatchObject({ code: 'DRAIN_TIMEOUT', message: expect.stringContaining('(in 2 attempts)'), tableLocks: [LOCK] });
    expect(error.row.exit).toBe('LOCK');
    engine().locks = [];
    await expectNothingLeft();
  });
});

it.each([
  ['waited for, in all attempts,', 'wait', 'DRAIN_TIMEOUT', 2],
  ['refused, in one attempt,', 'refuse', 'CPIMPORT_RUNNING', 1],
])('a bulk load is %s as configured', async (_, cpimport, code, attempts) => {
  await cluster.remove();
  cluster = await fakeCluster(ids, ONE_EACH, { columnstore: { cpimport } });
  module('db3').cpimport = true;
  expect(await failure(backup())).toMatchObject({ code, node: 'db3' });
  expect(cluster.node('db1').history.filter((what) => what === 'locked')).toHaveLength(attempts);
  module('db3').cpimport = false;
  await expectNothingLeft();
});

describe.each<[point: string, node: string, code: ErrorCode]>([
  ['hold.drain', 'db2', 'ENGINE_NOT_READY'],
  ['hold.drain', 'db1', 'COLUMNSTORE_CONFIG'],
  ['hold.suspend', 'db1', 'ENGINE_READ_ONLY'],
  ['hold.suspend', 'db1', 'SUSPEND_FAILED'],
  ['hold.suspend', 'db3', 'SUSPEND_FAILED'],
  ['hold.flush', 'db1', 'BRM_FAILED'],
  ['task.capture', 'db2', 'CAPTURE_FAILED'],
  ['hold.attest', 'db1', 'ATTEST_FAILED'],
])('a node that fails at %s (%s) with %s', (point, node, code) => {
  it('ends the backup at once, with the engine read-write and nobody waiting', async () => {
    cluster.node(node).faults.at(point, fails(code));
    const run = watchedRun();
    expect(await failure(backup(run))).toMatchObject({ code, node });
    expect(run.events.filter(({ type }) => type === 'retry')).toEqual([]);
    await eventually(() => !engine().readOnly);
    await expectNothingLeft();
  });
});

describe('an abort', () => {
  it.each(['hold.drain', 'hold.suspend', 'hold.flush', 'task.capture', 'hold.attest'])(
    'at %s leaves the engine read-write',
    async (point) => {
      const run = watchedRun();
      const gate = cluster.node('db1').faults.gate(point);
      const ended = failure(backup(run));
      await gate.reached;
      run.abort();
      expect(await ended).toMatchObject({ code: 'CANCELLED' });
      await expectNothingLeft();
    },
  );

  it('while it drains asks nothing more of anybody', async () => {
    const run = watchedRun();
    const gate = cluster.node('db2').faults.gate('hold.drain');
    const ended = failure(backup(run));
    await gate.reached;
    run.abort();
    await ended;
    expect(cluster.node('db1').history).not.toContain('suspended');
  });
});

describe('an engine that is not the one that was suspended', () => {
  /** Changes something of the engine while it is read-only; `point` is reached on db1. */
  const changed = async (point: string, change: () => void): Promise<StillpointError> => {
    const gate = cluster.node('db1').faults.gate(point);
    const ended = failure(backup());
    await gate.reached;
    change();
    gate.open();
    return ended;
  };

  it.each<[string, () => void, RegExp]>([
    [
      'controllernode was restarted',
      () => Object.assign(engine().controller, { pid: 5_999, started: 777n }),
      /controllernode was process 4001, started at tick 100 at the suspension, and is process 5999, started at tick 777 now/,
    ],
    [
      'controllernode has the same process id again',
      () => Object.assign(engine().controller, { started: 778n }),
      /tick 100 .* tick 778 now/,
    ],
    ['the configuration has another revision', () => Object.assign(engine(), { configRevision: 8n }), /ConfigRevision was 7 .* is 8 now/],
    [
      'Columnstore.xml was edited',
      () => Object.assign(engine(), { configSha256: 'b'.repeat(64) }),
      /had sha256 a{64} at the suspension, and has b{64} now/,
    ],
  ])('%s: the set is void, and both sides are named', async (_, change, message) => {
    const error = await changed('hold.attest', change);
    expect(error).toMatchObject({ code: 'ATTEST_FAILED', message: expect.stringMatching(message) });
    expect(error.hint).toMatch(/restart|configuration/);
    await expectNothingLeft();
  });

  it('that has another revision than the one planned from is found before anything is captured', async () => {
    const error = await changed('hold.suspend', () => Object.assign(engine(), { configRevision: 9n }));
    expect(error).toMatchObject({
      code: 'ATTEST_FAILED',
      message: expect.stringContaining('was 7 when the backup was planned, and is 9 on'),
    });
    for (const { history } of cluster.nodes) expect(history).not.toContain('capture started');
    await expectNothingLeft();
  });

  it('runs controllernode on another node than the primary', async () => {
    const gate = cluster.node('db1').faults.gate('hold.suspend');
    const ended = failure(backup());
    await gate.reached;
    module('db3').strayController = true;
    gate.open();
    expect(await ended).toMatchObject({ node: 'db3', code: 'ATTEST_FAILED', message: expect.stringContaining('and db1 is the primary') });
  });
});

describe('after the still point', () => {
  it('tables that stayed locked are told loudly, and the set is good', async () => {
    engine().stuckLocks = ['shop.facts is still locked by DMLProc (lock 50): restart DMLProc'];
    const run = watchedRun();
    const { set, engine: came } = await backup(run);
    expect(came.find(({ node }) => node === 'db1')?.stuckLocks).toEqual(engine().stuckLocks);
    expect(run.events).toContainEqual({ type: 'warning', node: 'db1', message: engine().stuckLocks[0], hint: '' });
    expect(await cluster.controller.listSets({ all: true, rescan: true }, run.signal)).toMatchObject([{ setId: set.setId, state: 'good' }]);
  });

  it('an engine that does not become read-write again is told loudly, and does not void the set', async () => {
    cluster.node('db1').faults.at('hold.resume', () => {
      // The agent goes on trying, and lets SQL writers go.
      engine().readOnly = false;
      throw new StillpointError('RESUME_FAILED', 'dbrmctl status says: DBRM is currently Read Only!');
    });
    const run = watchedRun();
    const { set, engine: came } = await backup(run);
    expect(set.members).toHaveLength(4);
    expect(came.find(({ node }) => node === 'db1')?.failure).toMatchObject({ code: 'RESUME_FAILED' });
    expect(run.events).toContainEqual(
      expect.objectContaining({ type: 'warning', node: 'db1', message: expect.stringContaining('Read Only!') }),
    );
  });

  it('an agent of the primary that does not confirm the resume counts as not having resumed', async () => {
    const { faults, network } = cluster.node('db1');
    faults.at('hold.release', () => {
      network.sever();
      throw new Error('gone');
    });
    const run = watchedRun();
    const ended = failure(backup(run));
    await run.until(({ type }) => type === 'warning');
    expect(run.events.find(({ type }) => type === 'warning')).toMatchObject({
      node: 'db1',
      message: expect.stringContaining('did not confirm that the engine is read-write again'),
    });
    run.abort();
    await ended;
    network.mend();
  }, 60_000);

  it('a primary that answers neither the suspension nor the release may have suspended the engine', async () => {
    const { faults, network } = cluster.node('db1');
    const gate = faults.gate('hold.suspend');
    const run = watchedRun();
    const ended = failure(backup(run));
    await gate.reached;
    network.sever();
    run.abort();
    expect(await ended).toMatchObject({
      ...{ code: 'RESUME_FAILED', node: 'db1' },
      message: expect.stringContaining('did not confirm that the engine is read-write again'),
    });
    network.mend();
  }, 60_000);

  it('a failed backup whose engine did not come back says so before everything else', async () => {
    cluster.node('db2').faults.at('task.capture', fails('DISK_FULL'));
    cluster.node('db1').faults.at('hold.resume', () => {
      engine().readOnly = false;
      throw new StillpointError('RESUME_FAILED', 'still read-only');
    });
    expect(await failure(backup())).toMatchObject({
      ...{ code: 'RESUME_FAILED', node: 'db1' },
      message: expect.stringMatching(/^still read-only; the backup itself failed with DISK_FULL on db2: injected DISK_FULL/),
    });
  });
});
