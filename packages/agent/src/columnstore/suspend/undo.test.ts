import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Clock, systemClock } from '@stillpoint/shared/time';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { bound, controlOf, onSleep, partsOf, suspendTerms } from '../../../../../test/harness/engine-control.ts';
import { type EnginePrograms, enginePrograms } from '../../../../../test/harness/engine-programs.ts';
import type { ControlParts } from './parts.ts';
import { forgetSuspension, readSuspension, recordSuspension } from './record.ts';
import type { DriverName, Stand } from './types.ts';
import { undoSuspension } from './undo.ts';

let engine: EnginePrograms;
let stateDir: string;
beforeEach(() => {
  engine = enginePrograms();
  stateDir = mkdtempSync(join(tmpdir(), 'stillpoint-suspension-'));
});
afterEach(() => {
  engine.remove();
  rmSync(stateDir, { recursive: true });
});

const at = new Date('2026-01-02T03:04:05.678Z');
const record = (stand: Stand, driver: DriverName = 'dbrmctl', operationId = 'b-1', isConfirmed = false) =>
  recordSuspension(stateDir, { operationId, driver, stand, at, isConfirmed });
/** A suspension of a process that died after it. */
async function leftSuspended(driver: DriverName = 'dbrmctl'): Promise<void> {
  await controlOf(engine).suspend(suspendTerms({ beforeFlag: (stand) => record(stand, driver) }));
}
const undo = (parts: Partial<ControlParts> = {}) =>
  undoSuspension({ ...partsOf(engine, {}, parts.clock ?? systemClock), ...parts }, stateDir, bound());
const restartController = () => engine.processes.splice(0, 1, { pid: 900, name: 'controllernode', startedTicks: 9_000n });

describe('the record of a suspension', () => {
  test('is there before the flag, whole, and says who set it', async () => {
    let before: unknown;
    await controlOf(engine).suspend(
      suspendTerms({
        beforeFlag: async (stand) => {
          await record(stand);
          before = { flag: engine.has('ro'), record: await readSuspension(stateDir) };
        },
      }),
    );
    expect(before).toEqual({
      flag: false,
      record: {
        operationId: 'b-1',
        driver: 'dbrmctl',
        controllerPid: 900,
        controllerStarted: 1_000n,
        bootId: expect.stringMatching(/^[0-9a-f-]{36}$/),
        at,
        isConfirmed: false,
      },
    });
    expect(readdirSync(stateDir)).toEqual(['suspension.json']);
  });

  test('can be forgotten, again and again', async () => {
    await leftSuspended();
    await forgetSuspension(stateDir);
    await forgetSuspension(stateDir);
    expect(await readSuspension(stateDir)).toBeUndefined();
  });

  test.each([
    '',
    '{"operationId":',
    '{}',
    '[]',
    '{"operationId":"b","driver":"sh","controllerPid":1,"controllerStarted":"1","bootId":"","at":"x"}',
  ])('that reads %j is told of, and neither believed nor dropped', async (text) => {
    engine.set('ro');
    writeFileSync(join(stateDir, 'suspension.json'), text);
    await expect(readSuspension(stateDir)).rejects.toMatchObject({ code: 'INTERNAL', hint: expect.stringContaining('dbrmctl readwrite') });
    expect(await undo()).toMatchObject({ kind: 'unknown', message: expect.stringContaining('suspension.json') });
    expect(engine.has('ro')).toBe(true);
    expect(readdirSync(stateDir)).toHaveLength(1);
  });
});

describe('an agent that starts', () => {
  test('undoes what it suspended itself', async () => {
    await leftSuspended();
    expect(await undo()).toMatchObject({ kind: 'resumed', operationId: 'b-1', resumed: { way: { by: 'dbrmctl' }, stuckLocks: [] } });
    expect(engine.has('ro')).toBe(false);
    expect(await undo()).toEqual({ kind: 'none' });
  });

  test('leaves alone what is on no record', async () => {
    engine.set('ro');
    expect(await undo()).toEqual({ kind: 'none' });
    expect(engine.has('ro')).toBe(true);
  });

  test('drops the record of what is over', async () => {
    await leftSuspended();
    engine.clear('ro');
    expect(await undo()).toMatchObject({ kind: 'over', operationId: 'b-1' });
    expect(engine.commands()).toEqual(['dbrmctl readonly']);
    expect(await undo()).toEqual({ kind: 'none' });
  });

  test('leaves alone an engine whose controllernode is another one, and says so', async () => {
    await leftSuspended();
    restartController();
    expect(await undo()).toMatchObject({
      kind: 'left',
      operationId: 'b-1',
      message: expect.stringContaining('controllernode was restarted'),
    });
    expect(engine.has('ro')).toBe(true);
    expect(await undo()).toEqual({ kind: 'none' });
  });

  test('does not take the process of another boot for the same', async () => {
    await leftSuspended();
    const file = join(stateDir, 'suspension.json');
    const found = await readSuspension(stateDir);
    writeFileSync(file, JSON.stringify({ ...found, controllerStarted: '1000', bootId: 'another' }));
    expect(await undo()).toMatchObject({ kind: 'left' });
  });

  test('tries again later when the engine does not answer but still runs', async () => {
    await leftSuspended();
    engine.set('down');
    expect(await undo()).toMatchObject({ kind: 'unknown', message: expect.stringContaining('b-1 suspended the engine') });
    engine.clear('down');
    expect(await undo()).toMatchObject({ kind: 'resumed' });
  });

  test('knows that the flag went with controllernode', async () => {
    await leftSuspended();
    engine.set('down');
    engine.processes.splice(0);
    expect(await undo()).toMatchObject({ kind: 'over' });
    expect(await undo()).toEqual({ kind: 'none' });
  });

  test('knows that the flag of mcsadmin does not go with it', async () => {
    await leftSuspended('mcsadmin');
    restartController();
    expect(await undo()).toMatchObject({ kind: 'resumed' });
  });

  test('keeps the record when it cannot undo it', async () => {
    await leftSuspended();
    engine.before('dbrmctl readwrite', 'echo "Failure: controller node timed out."; exit');
    const parts = partsOf(engine);
    await expect(undoSuspension(parts, stateDir, bound(1))).rejects.toMatchObject({ code: 'RESUME_FAILED' });
    expect(await readSuspension(stateDir)).toMatchObject({ operationId: 'b-1' });
  });
});

/** Time goes on by a minute with each sleep, from when the request was made. */
function minutes(then: (nth: number) => Promise<void> | void = () => undefined): Clock {
  let nth = 0;
  return {
    ...onSleep(),
    now: () => new Date(at.getTime() + nth * 60_000),
    sleep: async () => {
      nth += 1;
      await then(nth);
    },
  };
}

describe('a request to suspend that nobody has seen answered', () => {
  const inLine = async (isConfirmed = false): Promise<void> => {
    await leftSuspended();
    const found = await readSuspension(stateDir);
    writeFileSync(join(stateDir, 'suspension.json'), JSON.stringify({ ...found, controllerStarted: '1000', isConfirmed }));
    engine.clear('ro');
  };

  test('is taken back although the status is read-write, and watched for', async () => {
    await inLine();
    const clock = minutes((nth) => {
      if (nth === 3) engine.set('ro');
    });
    expect(await undo({ clock })).toMatchObject({ kind: 'resumed' });
    expect(engine.commands()).toEqual(['dbrmctl readonly', 'dbrmctl readwrite', 'dbrmctl readwrite']);
    expect(engine.has('ro')).toBe(false);
    expect(await readSuspension(stateDir)).toBeUndefined();
  });

  test('is no more once it can no longer be carried out', async () => {
    await inLine();
    let slept = 0;
    const clock = minutes((nth) => {
      slept = nth;
    });
    expect(await undo({ clock })).toMatchObject({ kind: 'over' });
    expect(slept).toBe(6);
    expect(await readSuspension(stateDir)).toBeUndefined();
  });

  test('is taken back again and again while nobody answers: a status alone is not believed', async () => {
    await inLine();
    engine.before('dbrmctl readwrite', 'echo "Failure: controller node timed out."; exit');
    await expect(undoSuspension(partsOf(engine, {}, minutes()), stateDir, bound(1))).rejects.toMatchObject({
      code: 'RESUME_FAILED',
      message: expect.stringMatching(/its status: OK.*may be carried out yet$/),
    });
    expect(await readSuspension(stateDir)).toMatchObject({ operationId: 'b-1' });
  });

  test('ends with the controllernode in which it waits', async () => {
    await inLine();
    restartController();
    expect(await undo({ clock: minutes() })).toMatchObject({ kind: 'over' });
    expect(engine.commands()).toEqual(['dbrmctl readonly']);
  });

  test('is another one than one that was carried out: that is not watched for', async () => {
    await inLine(true);
    expect(await undo({ clock: minutes() })).toMatchObject({ kind: 'over' });
    expect(engine.commands()).toEqual(['dbrmctl readonly']);
    expect(await readSuspension(stateDir)).toBeUndefined();
  });
});

describe('a suspension by cmapi', () => {
  test('may come after its agent has gone: it is watched for until cmapi must have given up', async () => {
    await leftSuspended('cmapi');
    engine.clear('ro');
    const clock = minutes((nth) => {
      if (nth === 3) engine.set('ro');
    });
    expect(await undo({ clock })).toMatchObject({ kind: 'resumed' });
    expect(engine.has('ro')).toBe(false);
    expect(await readSuspension(stateDir)).toBeUndefined();
  });

  test('is not watched for longer than that', async () => {
    await leftSuspended('cmapi');
    engine.clear('ro');
    let slept = 0;
    const clock = minutes((nth) => {
      slept = nth;
    });
    expect(await undo({ clock })).toMatchObject({ kind: 'over' });
    expect(slept).toBe(6);
    expect(await readSuspension(stateDir)).toBeUndefined();
  });

  test('is no longer looked for when another operation suspends', async () => {
    await leftSuspended('cmapi');
    engine.clear('ro');
    const stand: Stand = { configRevision: 7, configSha256: '', controllerPid: 900, controllerStarted: 1_000n };
    const clock = minutes(async (nth) => {
      if (nth === 2) await record(stand, 'cmapi', 'b-2').then(() => engine.set('ro'));
    });
    expect(await undo({ clock })).toMatchObject({ kind: 'over', operationId: 'b-1' });
    expect(engine.has('ro')).toBe(true);
    expect(await readSuspension(stateDir)).toMatchObject({ operationId: 'b-2' });
  });
});
