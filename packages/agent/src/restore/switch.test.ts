import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { FinishTaskSchema, RollbackTaskSchema, SwitchTaskSchema } from '@stillpoint/shared/proto';
import { systemClock } from '@stillpoint/shared/time';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Agent } from '../agent.ts';
import { agentConfigSchema } from '../config/schema.ts';
import { ownAccount } from '../host/index.ts';
import { configuredSettings } from '../mariadb/settings.ts';
import type { TaskContext } from '../task/types.ts';
import { finishTask } from './finish.ts';
import { atRest } from './places.ts';
import { rollbackTaskWith } from './rollback.ts';
import type { Checkpoint, Seams } from './seams.ts';
import { copiesDirectory, type RestoreState, saveState } from './state.ts';
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

const LAYOUTS = ['beside', 'inside'] as const;
type Layout = (typeof LAYOUTS)[number];

/** Builds the world of a layout in the place of the present one, and keeps a copy to begin again from. */
async function build(layout: Layout): Promise<void> {
  rmSync(WORLD, { recursive: true, force: true });
  const named = (name: string): string =>
    layout === 'inside' ? join(atRest(DATADIR), `${name}-${OPERATION}`) : at('var', `.stillpoint-${name}-${OPERATION}`);
  const server = { ibdata1: 'system', 'mysql/user.MAD': 'users', 'shop/orders.ibd': 'orders', ib_logfile0: 'redo' };
  const old = Object.fromEntries(Object.entries(server).map(([name, content]) => [name, `old ${content}`]));
  const restored = Object.fromEntries(Object.entries(server).map(([name, content]) => [name, `new ${content}`]));
  put({ ...old, 'since/t.ibd': 'a database made since', 'lost+found/x': 'not ours' }, DATADIR);
  put({ ...restored, 'dropped/t.ibd': 'a database dropped since' }, named('stage'));
  if (layout === 'inside') put({ 'lost+found/db.opt': 'no database' }, named('stage'));
  put({ 'bin.000001': 'old log', 'bin.index': 'old list', 'bin.state': 'old state', 'other.000001': 'not ours' }, at('logs'));
  put({ 'bin.000007': 'log of a time before', 'bin.index': 'its list', 'notes.txt': 'not ours' }, at('logs-then'));
  put({ 'my.cnf': optionFile('logs'), 'conf.d/same.cnf': '[same]\n' }, at('etc'));
  put({ 's.pid': '1' }, at('run'));
  const copies = copiesDirectory(at('state'), OPERATION);
  const returning = { 'my.cnf': optionFile('logs-then'), 'conf.d/gone.cnf': '[gone]\n', 'conf.d/same.cnf': '[same]\n' };
  put(Object.fromEntries(Object.values(returning).map((content, index) => [String(index), content])), copies);
  const state: RestoreState = {
    format: 'stillpoint-restore/1',
    operationId: OPERATION,
    setId: 'set',
    partSha256: 'x',
    phase: 'staged',
    places: { layout, datadir: DATADIR, stage: named('stage'), kept: named('kept'), undone: named('undone') },
    owner: ownAccount(),
    mode: 0o755,
    gtidPosition: '',
    staged: { bytes: 1, tablesEqual: 0, tablesUnproven: [] },
    configuration: Object.keys(returning).map((name, index) => ({
      path: at('etc', name),
      copy: join(copies, String(index)),
      mode: 0o644,
      owner: ownAccount(),
    })),
    steps: [],
    done: 0,
    complete: false,
    logs: [],
    keptIn: [],
    undoneIn: [],
    obstaclesIn: [],
    replaced: [],
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

const known = new Map<string, ReturnType<typeof configuredSettings>>();

/** Settings are asked of mariadbd once for each content of the option file. */
const seams = (checkpoint: Checkpoint = () => {}): Seams => ({
  checkpoint,
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
}
const MADE_SINCE = 'made since';

class Crash extends Error {}

/** A checkpoint that crashes at its `n`-th pass, from 1 on, and counts them. */
function crashAt(n: number): { checkpoint: Checkpoint; passes: () => number } {
  let passes = 0;
  return {
    passes: () => passes,
    checkpoint: (name) => {
      passes += 1;
      if (passes === n) throw new Crash(name);
    },
  };
}

const doSwitch = (checkpoint?: Checkpoint) => switchTaskWith(seams(checkpoint)).run(agent, create(SwitchTaskSchema), task);
const goBack = (checkpoint?: Checkpoint) => rollbackTaskWith(seams(checkpoint)).run(agent, create(RollbackTaskSchema), task);

/** Runs `work`, crashing at one point after the other; then `then`. Gives the number of points. */
async function crashEverywhere(
  work: (checkpoint: Checkpoint) => Promise<unknown>,
  then: (point: number) => Promise<void>,
): Promise<number> {
  for (let point = 1; ; point++) {
    begin();
    const { checkpoint } = crashAt(point);
    const crashed = await work(checkpoint).then(
      () => false,
      (error: unknown) => {
        if (error instanceof Crash) return true;
        throw error;
      },
    );
    if (!crashed) return point - 1;
    await then(point);
  }
}

describe.each(LAYOUTS)('a switch, data %s', { timeout: 60_000 }, (layout) => {
  let before: ReturnType<typeof look>;
  let after: ReturnType<typeof look>;
  beforeAll(async () => {
    await build(layout);
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
      ].sort(),
    );
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
      layout === 'beside' ? at('var', `.stillpoint-kept-${OPERATION}`) : join(atRest(DATADIR), `kept-${OPERATION}`, 'ibdata1');
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
