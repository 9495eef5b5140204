import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { StillpointError } from '@stillpoint/shared/errors';
import { FinishTaskSchema, RollbackTaskSchema, SwitchTaskSchema } from '@stillpoint/shared/proto';
import { systemClock } from '@stillpoint/shared/time';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Agent } from '../agent.ts';
import { agentConfigSchema } from '../config/schema.ts';
import { ownAccount } from '../host/index.ts';
import { configuredSettings } from '../mariadb/settings.ts';
import type { TaskContext } from '../task/types.ts';
import { finishTask } from './finish.ts';
import { Crash, crashAtEveryPoint } from './fixture/crash.ts';
import { atRest } from './places.ts';
import { rollbackTaskWith } from './rollback.ts';
import type { Checkpoint, Seams } from './seams.ts';
import { copiesDirectory, newState, type RestoreState, DATADIR as SERVER, saveState, type Tree } from './state.ts';
import { switchTaskWith } from './switch.ts';

const OPERATION = 'restore-1';
const TEMPLATE = mkdtempSync(join(tmpdir(), 'stillpoint-switch-'));
const WORLD = `${TEMPLATE}.now`;
const at = (...path: string[]): string => join(WORLD, ...path);
const DATADIR = at('var', 'data');

/**
 * A node with a stopped server (small files instead of tables), whose binary logs lie elsewhere, and a staged restore that also
 * brings configuration back: one file that was changed, one that was removed, one that is as it was.
 */
const agent: Agent = {
  config: agentConfigSchema.parse({
    cluster: 'c',
    node: 'n',
    stateDir: at('state'),
    repository: at('repository'),
    tls: { ca: '/none', cert: '/none', key: '/none' },
    mariadb: { defaultsFile: at('etc', 'my.cnf'), socket: at('run', 's.sock') },
    configuration: [at('etc')],
  }),
  clock: systemClock,
} as Agent;
const told: string[] = [];
const task: TaskContext = {
  operationId: OPERATION,
  taskId: 't',
  signal: new AbortController().signal,
  progress: () => {},
  log: (line) => told.push(line),
};

const optionFile = (log: string): string =>
  `[mariadbd]\ndatadir=${DATADIR}\nsocket=${at('run', 's.sock')}\npid-file=${at('run', 's.pid')}\nlog-bin=${at(log, 'bin')}\n`;

function put(files: Readonly<Record<string, string>>, ...below: string[]): void {
  for (const [name, content] of Object.entries(files)) {
    const path = join(...below, name);
    mkdirSync(join(path, '..'), { recursive: true });
    writeFileSync(path, content);
  }
}

const LAYOUTS = [
  { layout: 'beside', engine: false },
  { layout: 'inside', engine: false },
  { layout: 'beside', engine: true },
  { layout: 'inside', engine: true },
] as const;
type Layout = 'beside' | 'inside';

/** A node of the engine besides has a dbroot, and the place of the block resolution manager in one that is another node's. */
const DBROOT = at('cs', 'data2');
const DBRM = at('cs', 'data1', 'systemFiles', 'dbrm');

const treeOf = (name: string, live: string, layout: Layout): Tree => {
  const end = name === SERVER ? OPERATION : `${OPERATION}-${name}`;
  const placed = (what: string): string =>
    layout === 'inside' ? join(atRest({ name, live }), `${what}-${end}`) : join(live, '..', `.stillpoint-${what}-${end}`);
  return { name, layout, live, stage: placed('stage'), kept: placed('kept'), undone: placed('undone'), owner: ownAccount(), mode: 0o755 };
};

function putEngine(trees: readonly Tree[]): void {
  const files = { '000.dir/000.dir/FILE000.cdf': 'column', 'versionbuffer.cdf': 'before-images' };
  put(Object.fromEntries(Object.entries(files).map(([name, content]) => [name, `old ${content}`])), DBROOT);
  put({ 'bulkRollback/3001': 'of a load since' }, DBROOT);
  put({ BRM_saves_em: 'old copy of the primary' }, DBRM);
  const [dbroot, dbrm] = trees as [Tree, Tree];
  put(Object.fromEntries(Object.entries(files).map(([name, content]) => [name, `new ${content}`])), dbroot.stage);
  mkdirSync(dbrm.stage, { recursive: true });
}

/** Builds the world of a layout in the place of the present one, and keeps a copy to begin again from. */
async function build(layout: Layout, engine: boolean): Promise<void> {
  rmSync(WORLD, { recursive: true, force: true });
  const server_ = treeOf(SERVER, DATADIR, layout);
  const ofEngine = engine ? [treeOf('dbroot2', DBROOT, layout), treeOf('dbrm', DBRM, layout)] : [];
  if (engine) putEngine(ofEngine);
  const server = { ibdata1: 'system', 'mysql/user.MAD': 'users', 'shop/orders.ibd': 'orders', ib_logfile0: 'redo' };
  const old = Object.fromEntries(Object.entries(server).map(([name, content]) => [name, `old ${content}`]));
  const restored = Object.fromEntries(Object.entries(server).map(([name, content]) => [name, `new ${content}`]));
  put({ ...old, 'since/t.ibd': 'a database made since', 'lost+found/x': 'not ours' }, DATADIR);
  put({ ...restored, 'dropped/t.ibd': 'a database dropped since' }, server_.stage);
  if (layout === 'inside') put({ 'lost+found/db.opt': 'no database' }, server_.stage);
  put({ 'bin.000001': 'old log', 'bin.index': 'old list', 'bin.state': 'old state', 'other.000001': 'not ours' }, at('logs'));
  put({ 'bin.000007': 'log of a time before', 'bin.index': 'its list', 'notes.txt': 'not ours' }, at('logs-then'));
  put({ 'my.cnf': optionFile('logs'), 'conf.d/same.cnf': '[same]\n' }, at('etc'));
  put({ 's.pid': '1' }, at('run'));
  const copies = copiesDirectory(at('state'), OPERATION);
  const returning = { 'my.cnf': optionFile('logs-then'), 'conf.d/gone.cnf': '[gone]\n', 'conf.d/same.cnf': '[same]\n' };
  put(Object.fromEntries(Object.values(returning).map((content, index) => [String(index), content])), copies);
  const known = { operationId: OPERATION, setId: 'set', partSha256: 'x', dbroots: [], columnstore: engine, made: [], gtidPosition: '' };
  const state: RestoreState = {
    ...newState({ ...known, trees: [server_, ...ofEngine] }),
    phase: 'staged',
    configuration: Object.keys(returning).map((name, index) => ({
      path: at('etc', name),
      copy: join(copies, String(index)),
      mode: 0o644,
      owner: ownAccount(),
      how: 'replace',
    })),
  };
  await saveState(at('state'), state);
  rmSync(TEMPLATE, { recursive: true });
  cpSync(WORLD, TEMPLATE, { recursive: true });
}

function begin(): void {
  rmSync(WORLD, { recursive: true });
  cpSync(TEMPLATE, WORLD, { recursive: true });
}

afterAll(() => {
  for (const path of [TEMPLATE, WORLD]) rmSync(path, { recursive: true, force: true });
});

/** Every file of the world but our journal, with its content; what was put aside, apart. */
function look(): { live: Record<string, string>; aside: Record<string, string> } {
  const live: Record<string, string> = {};
  const aside: Record<string, string> = {};
  const walk = (directory: string): void => {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      const path = join(directory, entry.name);
      if (path === at('state')) continue;
      if (entry.isDirectory()) walk(path);
      else (/\.stillpoint|\.found-|\.undone-/.test(path) ? aside : live)[relative(WORLD, path)] = readFileSync(path, 'utf8');
    }
  };
  walk(WORLD);
  return { live, aside };
}

/** What the engine of the node is like, and how often its shared memory was seen to. */
let engineRuns = false;
let settled = 0;

const known = new Map<string, ReturnType<typeof configuredSettings>>();

/** Settings are asked of mariadbd once for each content of the option file. */
const seams = (checkpoint: Checkpoint = () => {}): Seams => ({
  checkpoint,
  engine: {
    refuseRunning: async () => {
      if (engineRuns) throw new StillpointError('ENGINE_RUNNING', 'PrimProc (process 7) runs');
    },
    settle: async () => {
      settled += 1;
    },
  },
  syncFileSystem: async () => {},
  readSettings: (file, signal) => {
    const content = existsSync(file) ? readFileSync(file, 'utf8') : '';
    const settings = known.get(content) ?? configuredSettings(file, signal);
    if (content !== '') known.set(content, settings);
    return settings;
  },
});

/** What a server makes that the boot starts on old or half data, and a package's script where there is none. */
function boot(): void {
  const made = { ibdata1: MADE_SINCE, 'mysql/user.MAD': MADE_SINCE };
  const missing = Object.entries(made).filter(([name]) => !existsSync(join(DATADIR, name)));
  if (missing.length > 0) put(Object.fromEntries(missing), DATADIR);
  else if (readFileSync(join(DATADIR, 'ibdata1'), 'utf8') === 'old system' && !existsSync(at('logs', 'bin.index')))
    put({ 'bin.index': MADE_SINCE }, at('logs'));
  // cmapi makes a directory for every dbroot that is missing; the engine finds the rest.
  if (existsSync(join(DBROOT, '..')) && !existsSync(join(DBROOT, 'versionbuffer.cdf'))) put({ 'versionbuffer.cdf': MADE_SINCE }, DBROOT);
}
const MADE_SINCE = 'made since';

const doSwitch = (checkpoint?: Checkpoint) => switchTaskWith(seams(checkpoint)).run(agent, create(SwitchTaskSchema), task);
const goBack = (checkpoint?: Checkpoint) => rollbackTaskWith(seams(checkpoint)).run(agent, create(RollbackTaskSchema), task);

const crashEverywhere = (work: (checkpoint: Checkpoint) => Promise<unknown>, then: (point: number) => Promise<void>) =>
  crashAtEveryPoint(begin, work, then);

describe.each(LAYOUTS)('a switch, data $layout, with an engine: $engine', { timeout: 120_000 }, ({ layout, engine }) => {
  let before: ReturnType<typeof look>;
  let after: ReturnType<typeof look>;
  beforeAll(async () => {
    await build(layout, engine);
    before = look();
    await doSwitch();
    after = look();
  });

  test('exchanges data, logs and configuration, and keeps what was there', () => {
    const var_ = (name: string): string => `var/data/${name}`;
    expect(after.live).toMatchObject({
      [var_('ibdata1')]: 'new system',
      [var_('shop/orders.ibd')]: 'new orders',
      [var_('dropped/t.ibd')]: 'a database dropped since',
      'logs/other.000001': 'not ours',
      'logs-then/notes.txt': 'not ours',
      'etc/my.cnf': optionFile('logs-then'),
      'etc/conf.d/gone.cnf': '[gone]\n',
      'etc/conf.d/same.cnf': '[same]\n',
    });
    for (const name of [
      var_('since/t.ibd'),
      'logs/bin.000001',
      'logs/bin.index',
      'logs-then/bin.000007',
      'logs-then/bin.index',
      'run/s.pid',
    ]) {
      expect(after.live).not.toHaveProperty([name]);
    }
    expect(Object.values(after.aside).sort()).toEqual(
      [
        ...['old system', 'old users', 'old orders', 'old redo', 'a database made since'],
        ...['old log', 'old list', 'old state', 'log of a time before', 'its list', optionFile('logs')],
        ...(layout === 'beside' ? ['not ours'] : []),
        ...(engine ? ['old column', 'old before-images', 'of a load since', 'old copy of the primary'] : []),
      ].sort(),
    );
  });

  test.runIf(engine)('exchanges dbroots, empties the place of the block resolution manager, and sees to shared memory', async () => {
    expect(after.live).toMatchObject({ 'cs/data2/000.dir/000.dir/FILE000.cdf': 'new column' });
    expect(after.live).not.toHaveProperty(['cs/data2/bulkRollback/3001']);
    begin();
    const before = settled;
    await doSwitch();
    expect(readdirSync(DBRM)).toEqual(layout === 'inside' ? ['.stillpoint'] : []);
    await goBack();
    expect(settled).toBe(before + 2);
  });

  test.runIf(engine)('is refused while the engine runs, and so is its way back', async () => {
    begin();
    engineRuns = true;
    await expect(doSwitch()).rejects.toMatchObject({ code: 'ENGINE_RUNNING' });
    expect(look()).toEqual(before);
    engineRuns = false;
    await doSwitch();
    engineRuns = true;
    await expect(goBack()).rejects.toMatchObject({ code: 'ENGINE_RUNNING' });
    engineRuns = false;
    expect(look()).toEqual(after);
  });

  test('goes on after a crash at any point, to the same end', async () => {
    const points = await crashEverywhere(doSwitch, async (point) => {
      await doSwitch();
      expect(look(), `crash at point ${point}`).toEqual(after);
    });
    expect(points).toBeGreaterThanOrEqual(layout === 'beside' ? 17 : 30);
  });

  test('goes back after a crash at any point: everything is as before, and the stage is gone', async () => {
    await crashEverywhere(doSwitch, async (point) => {
      await goBack();
      // The pid file named nobody: that it is removed is no loss.
      const { live, aside } = look();
      expect({ 'run/s.pid': '1', ...live }, `crash at point ${point}`).toEqual(before.live);
      expect(aside, `crash at point ${point}`).toEqual({});
    });
  });

  test('that is complete is undone, also after crashes on the way back; what a server wrote meanwhile is set aside', async () => {
    const whole = async (checkpoint: Checkpoint): Promise<void> => {
      await doSwitch();
      put({ 'written-since/t.ibd': 'written', 'logs-then': '' }, DATADIR);
      put({ 'bin.000001': 'written log', 'bin.index': 'written list' }, at('logs-then'));
      await goBack(checkpoint);
    };
    await whole(() => {});
    const { live, aside } = look();
    expect({ 'run/s.pid': '1', ...live }).toEqual(before.live);
    expect(Object.values(aside)).toEqual(
      expect.arrayContaining(['written', 'written log', 'written list', 'new system', optionFile('logs-then')]),
    );
    const points = await crashEverywhere(whole, async (point) => {
      await goBack();
      expect(look(), `crash at point ${point}`).toEqual({ live, aside });
    });
    expect(points).toBeGreaterThanOrEqual(layout === 'beside' ? 14 : 25);
    const finished = await finishTask.run(agent, create(FinishTaskSchema), task);
    expect(finished).toMatchObject({ result: { value: { freedBytes: expect.toSatisfy((bytes: bigint) => bytes > 0n) } } });
    expect(look()).toEqual({ live, aside: {} });
  });

  test('goes on after a crash and a start of the server in between: what that made is put aside, and freed in the end', async () => {
    let obstacles = 0;
    await crashEverywhere(doSwitch, async (point) => {
      boot();
      await doSwitch();
      const { live, aside } = look();
      expect(live, `crash at point ${point}`).toEqual(after.live);
      const made = Object.entries(aside).filter(([, content]) => content === MADE_SINCE);
      expect(made.every(([path]) => /\.stillpoint.*obstacles-restore-1\/\d+-/.test(path))).toBe(true);
      obstacles += made.length;
      await finishTask.run(agent, create(FinishTaskSchema), task);
      expect(Object.values(look().aside), `crash at point ${point}`).toEqual([optionFile('logs')]);
    });
    expect(obstacles).toBeGreaterThanOrEqual(4);
    expect(told.length).toBeGreaterThan(0);
    expect(told.every((line) => line.includes('was made while the restore was half done'))).toBe(true);
  });

  test.runIf(engine)('leaves the logs of a server alone that ran on restored data, while dbroots were still to be exchanged', async () => {
    begin();
    const crash = (name: string): void => {
      if (name.includes(`kept-${OPERATION}-dbroot2`)) throw new Crash(name);
    };
    await expect(doSwitch(crash)).rejects.toThrow(Crash);
    put({ 'bin.000001': 'log of the restored server', 'bin.index': 'its list' }, at('logs-then'));
    await doSwitch();
    expect(look().live).toEqual({ ...after.live, 'logs-then/bin.000001': 'log of the restored server', 'logs-then/bin.index': 'its list' });
  });

  test('goes back after a crash and a start of the server in between, also where that happens on the way back', async () => {
    const back = async (point: number): Promise<void> => {
      boot();
      await goBack();
      const { live } = look();
      expect({ 'run/s.pid': '1', ...live }, `crash at point ${point}`).toEqual(before.live);
    };
    await crashEverywhere(doSwitch, back);
    await crashEverywhere(async (checkpoint) => {
      await doSwitch();
      await goBack(checkpoint);
    }, back);
  });

  test('that is finished keeps the found configuration alone', async () => {
    begin();
    await doSwitch();
    await finishTask.run(agent, create(FinishTaskSchema), task);
    expect(look()).toEqual({ live: after.live, aside: { [`etc/my.cnf.found-${OPERATION}`]: optionFile('logs') } });
    await expect(goBack()).rejects.toMatchObject({ code: 'NOTHING_TO_ROLL_BACK' });
    await expect(doSwitch()).rejects.toMatchObject({ code: 'RESTORE_REFUSED' });
  });

  test('stops at something in its way, and goes back', async () => {
    begin();
    const inTheWay =
      layout === 'beside'
        ? at('var', `.stillpoint-kept-${OPERATION}`)
        : join(atRest({ name: SERVER, live: DATADIR }), `kept-${OPERATION}`, 'ibdata1');
    mkdirSync(inTheWay, { recursive: true });
    await expect(doSwitch()).rejects.toMatchObject({ code: 'SWITCH_FAILED', message: expect.stringContaining('is in the way') });
    rmSync(inTheWay, { recursive: true });
    await goBack();
    expect(look().live).toEqual(before.live);
  });

  test('is refused while a server answers on the socket', async () => {
    begin();
    const server = createServer().listen(at('run', 's.sock'));
    try {
      await expect(doSwitch()).rejects.toMatchObject({ code: 'SERVER_RUNNING' });
      await expect(goBack()).resolves.toMatchObject({ result: { value: { switchedBack: false } } });
    } finally {
      server.close();
    }
  });
});
