import { writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { controlOf, noSignal, suspendTerms } from '../../../../../test/harness/engine-control.ts';
import { type EnginePrograms, enginePrograms } from '../../../../../test/harness/engine-programs.ts';
import { loadLock, sqlLock } from '../../../../../test/harness/lock-table.ts';
import type { Engine } from '../types.ts';
import type { EngineControl, Stand } from './types.ts';

let engine: EnginePrograms;
beforeEach(() => {
  engine = enginePrograms();
});
afterEach(() => engine.remove());

describe('attesting', () => {
  const suspended = async (facts: Partial<Engine> = {}): Promise<[EngineControl, Stand]> => {
    const held = controlOf(engine, facts);
    if (facts.isPrimary === false) engine.set('ro');
    return [held, await held.suspend(suspendTerms())];
  };

  test('gives how things stand, unchanged', async () => {
    const [held, stand] = await suspended();
    expect(await held.attest(stand, noSignal)).toEqual(stand);
  });

  test('fails when the engine is read-write again', async () => {
    const [held, stand] = await suspended();
    engine.clear('ro');
    await expect(held.attest(stand, noSignal)).rejects.toMatchObject({
      code: 'ATTEST_FAILED',
      message: expect.stringContaining('no longer read-only'),
    });
  });

  test.each([
    ['5', 'ExeMgr'],
    ['22.08', 'PrimProc'],
  ] as const)('says what to restart on %s when controllernode was restarted', async (generation, also) => {
    const [held, stand] = await suspended({ generation });
    engine.processes.splice(0, 1, { pid: 900, name: 'controllernode', startedTicks: 5_000n });
    await expect(held.attest(stand, noSignal)).rejects.toMatchObject({
      code: 'ATTEST_FAILED',
      message: expect.stringContaining('controllernode (pid 900) is another process now'),
      hint: expect.stringMatching(new RegExp(`Restart DMLProc, and ${also} .*says OK`)),
    });
    engine.processes.splice(0);
    await expect(held.attest(stand, noSignal)).rejects.toMatchObject({ message: expect.stringContaining('does not run any more') });
  });

  test('fails on a table lock, and on a list that cannot be understood', async () => {
    const [held, stand] = await suspended();
    engine.lock(loadLock());
    await expect(held.attest(stand, noSignal)).rejects.toMatchObject({ code: 'ATTEST_FAILED', tableLocks: [{ id: 71 }] });
    engine.say('');
    await expect(held.attest(stand, noSignal)).rejects.toMatchObject({
      code: 'ATTEST_FAILED',
      message: expect.stringContaining('cannot be told'),
    });
  });

  test('fails when the configuration was changed', async () => {
    const [held, stand] = await suspended();
    writeFileSync(engine.engine().configFile, '<Columnstore><A/></Columnstore>');
    await expect(held.attest(stand, noSignal)).rejects.toMatchObject({
      code: 'ATTEST_FAILED',
      message: expect.stringContaining('was changed'),
    });
  });

  test('asks other nodes for the flag only', async () => {
    const [held, stand] = await suspended({ isPrimary: false });
    engine.lock(sqlLock());
    expect(await held.attest(stand, noSignal)).toEqual(stand);
    engine.clear('ro');
    await expect(held.attest(stand, noSignal)).rejects.toMatchObject({ code: 'ATTEST_FAILED' });
  });
});
