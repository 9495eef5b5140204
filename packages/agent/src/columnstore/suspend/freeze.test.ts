import { writeFileSync } from 'node:fs';
import type { Clock } from '@stillpoint/shared/time';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { bound, controlOf, noSignal, onSleep, partsOf, suspendTerms } from '../../../../../test/harness/engine-control.ts';
import { type EnginePrograms, enginePrograms } from '../../../../../test/harness/engine-programs.ts';
import { loadLock, renderLockTable, sqlLock } from '../../../../../test/harness/lock-table.ts';
import type { EngineProcess, FindProcesses } from '../engine/processes.ts';
import { createControl } from './control.ts';
import type { EngineControl, Stand } from './types.ts';

let engine: EnginePrograms;
beforeEach(() => {
  engine = enginePrograms();
});
afterEach(() => engine.remove());

const load = { pid: 50, name: 'cpimport', startedTicks: 2_000n };
const writeLocks = (text: string): string => `cat >locks <<'END'\n${text}END\n`;

describe('suspending', () => {
  test('is announced before it is done, and seen to be', async () => {
    const seen: boolean[] = [];
    const stands: Stand[] = [];
    const stand = await controlOf(engine).suspend(
      suspendTerms({
        beforeFlag: async (before) => {
          seen.push(engine.has('ro'));
          stands.push(before);
        },
      }),
    );
    expect(seen).toEqual([false]);
    expect(stand).toEqual({ configRevision: 7, configSha256: engine.engine().configSha256, controllerPid: 900, controllerStarted: 1_000n });
    expect(stands).toEqual([stand]);
    expect(engine.has('ro')).toBe(true);
    expect(engine.commands()).toEqual(['dbrmctl readonly']);
  });

  test('is not done when the announcement fails', async () => {
    const full = new Error('disk full');
    await expect(controlOf(engine).suspend(suspendTerms({ beforeFlag: () => Promise.reject(full) }))).rejects.toBe(full);
    expect(engine.commands()).toEqual([]);
  });

  test('that was accepted but is not in force is a failure', async () => {
    engine.before('dbrmctl readonly', 'echo OK.; exit');
    const clock = onSleep();
    await expect(controlOf(engine, {}, clock).suspend(suspendTerms({ clock }))).rejects.toMatchObject({
      code: 'SUSPEND_FAILED',
      message: 'dbrmctl accepted it, but the engine says: OK. (and the system is ready)',
    });
  });

  test('that was refused says how', async () => {
    engine.before('dbrmctl readonly', "echo 'Failure: controller node timed out.'; exit");
    await expect(controlOf(engine).suspend(suspendTerms())).rejects.toMatchObject({
      code: 'SUSPEND_FAILED',
      message: 'dbrmctl readonly was refused: Failure: controller node timed out.',
    });
  });

  test('lets a write that slipped in between end, then suspends again', async () => {
    // It has its lock by the time of the flag; once writes are allowed again it ends.
    engine.before('dbrmctl readonly', `[ -e slipped ] || { touch slipped\n${writeLocks(renderLockTable([sqlLock()]))}}`);
    engine.before('dbrmctl readwrite', writeLocks(renderLockTable([])));
    let announced = 0;
    await controlOf(engine).suspend(
      suspendTerms({
        beforeFlag: async () => {
          announced += 1;
        },
      }),
    );
    expect(engine.commands()).toEqual(['dbrmctl readonly', 'dbrmctl readwrite', 'dbrmctl readonly']);
    expect(announced).toBe(2);
    expect(engine.has('ro')).toBe(true);
  });

  test('gives up when what slipped in does not end, and leaves the engine writable', async () => {
    engine.before('dbrmctl readonly', writeLocks(renderLockTable([sqlLock()])));
    const clock = onSleep();
    await expect(controlOf(engine, {}, clock).suspend(suspendTerms({ clock, timeoutMs: 3_000 }))).rejects.toMatchObject({
      code: 'DRAIN_TIMEOUT',
      tableLocks: [{ id: 26 }],
    });
    expect(engine.has('ro')).toBe(false);
  });

  /** Under the flag a load is there until so many pauses have passed, then `after`. */
  function controlWithLoad(pauses: number, after: readonly EngineProcess[]): [EngineControl, Clock] {
    let paused = 0;
    const clock = onSleep((nth) => {
      paused = nth;
    });
    const parts = partsOf(engine, {}, clock);
    const processes: FindProcesses = async (names) => {
      const found = !engine.has('ro') ? engine.processes : paused < pauses ? [...engine.processes, load] : after;
      return found.filter(({ name }) => names.includes(name));
    };
    return [createControl({ ...parts, processes }), clock];
  }

  test('waits for loads that began before the flag, not for those that the engine refuses', async () => {
    const refused = { ...load, pid: 60 };
    const [held, clock] = controlWithLoad(3, [...engine.processes, refused]);
    await held.suspend(suspendTerms({ clock }));
    expect(engine.has('ro')).toBe(true);
    // Once before the flag, once after it, and once a pause; on a busy host the first pauses pass while the flag is still being confirmed.
    expect(engine.calls().filter((call) => call === 'viewtablelock').length).toBeGreaterThanOrEqual(3);
  });

  test('is not done while somebody writes again that had been drained', async () => {
    engine.lock(loadLock());
    const clock = onSleep((nth) => {
      expect(engine.commands()).toEqual([]);
      if (nth === 3) engine.lock();
    });
    await controlOf(engine, {}, clock).suspend(suspendTerms({ clock }));
    expect(engine.commands()).toEqual(['dbrmctl readonly']);
    engine.clear('ro');
    engine.lock(loadLock());
    await expect(controlOf(engine).suspend(suspendTerms({ refuseCpimport: true }))).rejects.toMatchObject({ code: 'CPIMPORT_RUNNING' });
    expect(engine.has('ro')).toBe(false);
  });

  test('that was asked for is taken back, also when it shows only after it was taken back once', async () => {
    engine.before('dbrmctl readonly', writeLocks(renderLockTable([sqlLock()])));
    const clock = onSleep(() => {
      if (!engine.commands().includes('dbrmctl readwrite')) return;
      engine.lock();
      engine.set('ro');
    });
    const held = controlOf(engine, {}, clock);
    await expect(held.suspend(suspendTerms({ clock }))).rejects.toMatchObject({ code: 'ENGINE_READ_ONLY' });
    expect(engine.has('ro')).toBe(true);
    await held.resume(bound());
    expect(engine.has('ro')).toBe(false);
  });

  test('of an engine that somebody else suspended meanwhile is not done, and not undone', async () => {
    const held = controlOf(engine);
    await held.requireWritable(noSignal);
    engine.set('ro');
    await expect(held.suspend(suspendTerms())).rejects.toMatchObject({ code: 'ENGINE_READ_ONLY' });
    expect(await held.resume(bound())).toMatchObject({ way: undefined });
    expect(engine.has('ro')).toBe(true);
    expect(engine.commands()).toEqual([]);
  });

  test('is not done on a configuration that has changed', async () => {
    const held = controlOf(engine);
    writeFileSync(engine.engine().configFile, '<Columnstore><ConfigRevision>8</ConfigRevision></Columnstore>');
    await expect(held.suspend(suspendTerms())).rejects.toMatchObject({ code: 'COLUMNSTORE_CONFIG' });
    expect(engine.commands()).toEqual([]);
  });

  test('is void when controllernode ends on the way', async () => {
    const [held, clock] = controlWithLoad(1, [{ pid: 901, name: 'controllernode', startedTicks: 4_000n }]);
    await expect(held.suspend(suspendTerms({ clock }))).rejects.toMatchObject({
      code: 'SUSPEND_FAILED',
      message: expect.stringContaining('controllernode'),
    });
  });

  test('is waited for on other nodes', async () => {
    const clock = onSleep((nth) => {
      if (nth === 3) engine.set('ro');
    });
    const stand = await controlOf(engine, { isPrimary: false }, clock).suspend(suspendTerms({ clock }));
    expect(stand).toMatchObject({ configRevision: 7, controllerPid: 0, controllerStarted: 0n });
    engine.clear('ro');
    await expect(controlOf(engine, { isPrimary: false }).suspend(suspendTerms({ timeoutMs: 1 }))).rejects.toMatchObject({
      code: 'SUSPEND_FAILED',
    });
    expect(engine.commands()).toEqual([]);
  });
});

test('a program that hangs is ended with the signal, whose reason is thrown', async () => {
  engine.before('dbrmctl readonly', 'sleep 60');
  const abort = new AbortController();
  const reason = new Error('enough');
  const suspending = controlOf(engine).suspend(
    suspendTerms({ signal: abort.signal, beforeFlag: async () => void setTimeout(() => abort.abort(reason), 100) }),
  );
  await expect(suspending).rejects.toBe(reason);
});
