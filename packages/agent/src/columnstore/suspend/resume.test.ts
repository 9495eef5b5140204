import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { bound, controlOf, onSleep, suspendTerms } from '../../../../../test/harness/engine-control.ts';
import { type EnginePrograms, enginePrograms } from '../../../../../test/harness/engine-programs.ts';
import { loadLock, sqlLock } from '../../../../../test/harness/lock-table.ts';

let engine: EnginePrograms;
beforeEach(() => {
  engine = enginePrograms();
});
afterEach(() => engine.remove());

describe('resuming', () => {
  test('is seen to be in force, and is repeatable', async () => {
    const held = controlOf(engine);
    await held.suspend(suspendTerms());
    expect(await held.resume(bound())).toMatchObject({ way: { by: 'dbrmctl', detour: undefined }, stuckLocks: [] });
    expect(engine.has('ro')).toBe(false);
    expect(await held.resume(bound())).toMatchObject({ way: undefined, stuckLocks: [] });
    expect(engine.commands()).toEqual(['dbrmctl readonly', 'dbrmctl readwrite']);
  });

  test('is tried until it is in force', async () => {
    engine.set('ro');
    engine.before('dbrmctl readwrite', 'echo >>tries; [ "$(wc -l <tries)" -ge 3 ] || { echo OK.; exit; }');
    await controlOf(engine, {}, onSleep()).resume(bound());
    expect(engine.commands()).toEqual(['dbrmctl readwrite', 'dbrmctl readwrite', 'dbrmctl readwrite']);
    expect(engine.has('ro')).toBe(false);
  });

  test('that does not come within the bound is a failure', async () => {
    engine.set('ro');
    engine.before('dbrmctl readwrite', "echo 'Failure: an unspecific communication error.'; exit");
    await expect(controlOf(engine).resume(bound(50))).rejects.toMatchObject({
      code: 'RESUME_FAILED',
      message: expect.stringMatching(/dbrmctl readwrite was refused: Failure: an unspecific.*its status: DBRM is currently Read Only!/),
    });
  });

  test('names locks that are left, with what to do, and none that came after it', async () => {
    engine.set('ro');
    engine.lock(
      sqlLock(),
      loadLock(),
      sqlLock({ id: 5, process: 'WriteEngineServer' }),
      loadLock({ id: 99, created: new Date(Date.now() + 1_000) }),
      sqlLock({ id: 98, created: new Date(Date.now() + 2_000) }),
    );
    const { stuckLocks } = await controlOf(engine).resume(bound());
    expect(stuckLocks).toHaveLength(3);
    expect(stuckLocks[0]).toMatch(
      /shop\.orders .*DMLProc \(lock 26, pid 6562, session 19\).*new successful INSERT in that session.*restart DMLProc/,
    );
    expect(stuckLocks[1]).toMatch(/shop\.lines .*cpimport \(lock 71, pid 2993\).*cleartablelock 71/);
    expect(stuckLocks[2]).toMatch(/WriteEngineServer/);
  });

  test('does not call the lock of a load stuck that runs on this node', async () => {
    engine.set('ro');
    engine.lock(loadLock({ pid: 50 }), loadLock({ id: 72, pid: 51 }));
    engine.processes.push({ pid: 50, name: 'cpimport', startedTicks: 2_000n });
    const { stuckLocks } = await controlOf(engine).resume(bound());
    expect(stuckLocks).toEqual([expect.stringContaining('lock 72')]);
  });

  test('is not undone by a list of locks that fails', async () => {
    engine.set('ro');
    engine.say('?');
    const { stuckLocks } = await controlOf(engine).resume(bound());
    expect(stuckLocks).toEqual(['Table locks after the resume are not known: viewtablelock exited with 0 and said: ?']);
  });

  test('is not for other nodes: they wait for it', async () => {
    engine.set('ro');
    expect(await controlOf(engine, { isPrimary: false }).resume(bound())).toMatchObject({ way: undefined });
    expect(engine.commands()).toEqual([]);
    const clock = onSleep((nth) => {
      if (nth === 3) engine.clear('ro');
    });
    expect(await controlOf(engine, { isPrimary: false }, clock).awaitWritable(bound(5_000, clock))).toBe(true);
  });

  test('is no longer waited for when the time is over or the engine is gone', async () => {
    engine.set('ro');
    expect(await controlOf(engine, { isPrimary: false }).awaitWritable(bound(1))).toBe(false);
    engine.set('down');
    const clock = onSleep();
    expect(await controlOf(engine, { isPrimary: false }, clock).awaitWritable(bound(3_600_000, clock))).toBe(false);
  });
});
