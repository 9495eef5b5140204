import type { Clock } from '@stillpoint/shared/time';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { bound, controlOf, onSleep } from '../../../../../test/harness/engine-control.ts';
import { type EnginePrograms, enginePrograms } from '../../../../../test/harness/engine-programs.ts';
import { loadLock, sqlLock } from '../../../../../test/harness/lock-table.ts';
import type { Engine } from '../types.ts';

let engine: EnginePrograms;
beforeEach(() => {
  engine = enginePrograms();
});
afterEach(() => engine.remove());

const load = { pid: 50, name: 'cpimport', startedTicks: 2_000n };

describe('draining', () => {
  const drain = (more: { timeoutMs?: number; clock?: Clock; refuseCpimport?: boolean; facts?: Partial<Engine> } = {}) =>
    controlOf(engine, more.facts, more.clock).drain({ ...bound(more.timeoutMs, more.clock), refuseCpimport: more.refuseCpimport ?? false });

  test('waits for table locks and loads of this node', async () => {
    engine.lock(sqlLock(), loadLock());
    engine.processes.push(load);
    const clock = onSleep((nth) => {
      if (nth === 2) engine.lock();
      if (nth === 4) engine.processes.pop();
    });
    await drain({ clock });
    expect(engine.processes).toHaveLength(1);
  });

  test('gives up with everybody who is in the way', async () => {
    engine.lock(sqlLock(), loadLock({ pid: 50 }));
    engine.processes.push(load);
    const error = await drain({ timeoutMs: 1 }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: 'DRAIN_TIMEOUT',
      tableLocks: [
        { id: 26, table: 'shop.orders', process: 'DMLProc', pid: 6562, session: '19', state: 'LOADING', dbroots: [1, 2, 3] },
        { id: 71, table: 'shop.lines', process: 'cpimport', session: '' },
      ],
      message: expect.stringMatching(
        /shop\.orders, locked by DMLProc \(lock 26, pid 6562, session 19\) for (?:1 m 0|59\.).*; shop\.lines.*; cpimport \(pid 50\) runs on this node$/,
      ),
    });
    expect(error).not.toMatchObject({ message: expect.stringContaining('no more') });
  });

  test('names a load that has died under its lock, and a table without a name', async () => {
    engine.lock(loadLock({ table: '' }));
    await expect(drain({ timeoutMs: 1 })).rejects.toMatchObject({
      message: expect.stringMatching(/\(a table that .*pid 2993.*, a process that is no more$/),
      hint: expect.stringContaining('cleartablelock'),
    });
    const more = { ...engine.engine().topology, modules: [...engine.engine().topology.modules, ...engine.engine().topology.modules] };
    await expect(drain({ timeoutMs: 1, facts: { topology: more } })).rejects.toMatchObject({
      message: expect.not.stringContaining('no more'),
    });
  });

  test('does not take for empty what it cannot understand', async () => {
    engine.say(' There is 1 table lock\n\n');
    await expect(drain({ timeoutMs: 1 })).rejects.toMatchObject({
      code: 'DRAIN_TIMEOUT',
      message: expect.stringContaining('viewtablelock exited with 0 and said: There is 1 table lock'),
    });
  });

  test('is over at once when controllernode is out of reach', async () => {
    engine.set('down');
    await expect(drain()).rejects.toMatchObject({ code: 'ENGINE_NOT_READY', message: expect.stringContaining('network error') });
  });

  test('does not wait for a load when told not to', async () => {
    engine.lock(loadLock());
    await expect(drain({ refuseCpimport: true })).rejects.toMatchObject({ code: 'CPIMPORT_RUNNING', tableLocks: [{ id: 71 }] });
    engine.lock(sqlLock());
    await expect(drain({ refuseCpimport: true, timeoutMs: 1 })).rejects.toMatchObject({ code: 'DRAIN_TIMEOUT' });
    engine.lock();
    engine.processes.push({ ...load, name: 'cpimport.bin' });
    await expect(drain({ refuseCpimport: true })).rejects.toMatchObject({
      code: 'CPIMPORT_RUNNING',
      message: expect.stringContaining('pid 50'),
    });
  });

  test('looks on other nodes at their loads only', async () => {
    engine.lock(sqlLock());
    await drain({ facts: { isPrimary: false } });
    engine.processes.push(load);
    await expect(drain({ facts: { isPrimary: false }, timeoutMs: 1 })).rejects.toMatchObject({ code: 'DRAIN_TIMEOUT', tableLocks: [] });
  });
});
