import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join, relative } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { FinishTaskSchema } from '@stillpoint/shared/proto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { finishTask } from './finish.ts';
import { Crash, crashAtEveryPoint } from './fixture/crash.ts';
import {
  agent,
  at,
  begin,
  boot,
  build,
  clear,
  DATADIR,
  DBRM,
  doSwitch,
  goBack,
  LAYOUTS,
  look,
  MADE_SINCE,
  node,
  OPERATION,
  optionFile,
  put,
  task,
  told,
  treesOf,
} from './fixture/switch-world.ts';
import { atRest, isWithin } from './places.ts';
import type { Checkpoint } from './seams.ts';
import { DATADIR as SERVER, type Tree } from './state.ts';

afterAll(clear);

const crashEverywhere = (work: (checkpoint: Checkpoint) => Promise<unknown>, then: (point: number) => Promise<void>) =>
  crashAtEveryPoint(begin, work, then);

/** What was moved by one rename, with that file in it. */
function movedWith(file: string, trees: readonly Tree[]): string {
  const tree = trees.find(({ kept }) => isWithin(file, kept));
  if (tree === undefined) return file;
  return tree.layout === 'beside' ? tree.kept : join(tree.kept, relative(tree.kept, file).split('/')[0] ?? '');
}

describe.each(LAYOUTS)('a switch, data $layout, with an engine: $engine', { timeout: 120_000 }, ({ layout, engine }) => {
  const trees = treesOf(layout, engine);
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
    const before = node.settled;
    await doSwitch();
    expect(readdirSync(DBRM)).toEqual(layout === 'inside' ? ['.stillpoint'] : []);
    await goBack();
    expect(node.settled).toBe(before + 2);
  });

  test.runIf(engine)('is refused while the engine runs, and so is its way back', async () => {
    begin();
    node.engineRuns = true;
    await expect(doSwitch()).rejects.toMatchObject({ code: 'ENGINE_RUNNING' });
    expect(look()).toEqual(before);
    node.engineRuns = false;
    await doSwitch();
    node.engineRuns = true;
    await expect(goBack()).rejects.toMatchObject({ code: 'ENGINE_RUNNING' });
    node.engineRuns = false;
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

  test('moves nothing when staged data is gone that would take the place of live data', async () => {
    for (const { name, stage } of trees) {
      begin();
      rmSync(stage, { recursive: true });
      await expect(doSwitch(), name).rejects.toMatchObject({
        code: 'SWITCH_FAILED',
        message: expect.stringContaining(`${stage}, is gone`),
      });
      expect(look().live).toEqual(before.live);
      await goBack();
      expect(look().live).toEqual(before.live);
    }
  });

  test('moves nothing more when staged data has gone since the configuration was put back', async () => {
    begin();
    const lose = (name: string): void => {
      if (name === 'step 2 of 2') for (const { stage } of trees) rmSync(stage, { recursive: true });
    };
    await expect(doSwitch(lose)).rejects.toMatchObject({ code: 'SWITCH_FAILED', message: expect.stringContaining('is gone') });
    await goBack();
    expect({ 'run/s.pid': '1', ...look().live }).toEqual(before.live);
  });

  test('is not undone when something is gone that it kept: the restored data stays where it is', async () => {
    begin();
    await doSwitch();
    for (const kept of Object.keys(look().aside).map((file) => at(file))) {
      const content = readFileSync(kept);
      const gone = movedWith(kept, trees);
      renameSync(gone, `${gone}.hidden`);
      await expect(goBack(), kept).rejects.toMatchObject({
        code: 'SWITCH_FAILED',
        message: expect.stringContaining('nothing was moved back'),
      });
      renameSync(`${gone}.hidden`, gone);
      expect(readFileSync(kept)).toEqual(content);
      expect(look()).toEqual(after);
    }
    await goBack();
    expect({ 'run/s.pid': '1', ...look().live }).toEqual(before.live);
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
