import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { bound, type HeldEngine, type HeldOptions, heldEngine, noSignal, openTransaction, terms } from './held-engine.ts';

let held: HeldEngine;

/** What holds for each driver, on the release that it is for. */
const DRIVERS: readonly (readonly [string, HeldOptions])[] = [
  ['dbrmctl', { generation: '5', suspend: 'dbrmctl' }],
  ['dbrmctl', { generation: '22.08', suspend: 'dbrmctl', startreadonly: true }],
  ['cmapi', { generation: '5', modules: [[1, 3], [2]] }],
  ['mcsadmin', { generation: 'oam' }],
];

/** One engine for all tests of a group: its start is most of the time. */
function withEngine(options: HeldOptions): void {
  beforeAll(async () => {
    held = await heldEngine(options);
  });
  beforeEach(() => held.begin());
  afterAll(() => held?.remove());
}

describe.each(DRIVERS)('%s %j', (name, options) => {
  withEngine(options);

  const isSuspended = (): boolean => held.double.state().readOnly || held.double.state().suspended;

  test('suspends, saves, attests, resumes; the engine says so each time', async () => {
    const control = held.control();
    expect(control.driver).toBe(name);
    await control.requireWritable(noSignal);
    await control.drain(terms());
    const stand = await control.suspend(terms());
    expect(isSuspended()).toBe(true);
    expect(await held.driver.status(noSignal)).toMatchObject({ mode: 'read-only' });
    await control.saveBrm(noSignal);
    expect(held.callers('save_brm')).toEqual([held.double.state().owner.uid]);
    expect(await control.attest(stand, noSignal)).toEqual(stand);
    expect(await control.resume(bound())).toMatchObject({ way: { by: name, detour: undefined }, stuckLocks: [] });
    expect(isSuspended()).toBe(false);
    expect(await held.driver.status(noSignal)).toMatchObject({ mode: 'read-write', ready: true });
    expect(await control.resume(bound())).toMatchObject({ way: undefined });
    expect(held.calls('dbrmctl')).not.toContain('startreadonly');
  });

  test('an engine that somebody else suspended is refused, and left as it is', async () => {
    await (name === 'mcsadmin'
      ? held.double.primary.run('mcsadmin', ['suspendDatabaseWrites', 'y'])
      : held.double.primary.run('dbrmctl', ['readonly']));
    const control = held.control();
    await expect(control.requireWritable(noSignal)).rejects.toMatchObject({ code: 'ENGINE_READ_ONLY' });
    await expect(control.suspend(terms())).rejects.toMatchObject({ code: 'ENGINE_READ_ONLY' });
    expect(await control.resume(bound())).toMatchObject({ way: undefined });
    expect(isSuspended()).toBe(true);
  });

  test('a drain is bounded, and names everybody who is in the way', async () => {
    const transaction = await openTransaction(held, 'shop.orders');
    await held.double.createTable('shop.sales');
    const load = await held.double.load('shop.sales');
    const control = held.control();
    const { locks } = held.double.state();
    const [orders, sales] = ['shop.orders', 'shop.sales'].map((table) => locks.find((lock) => lock.table === table));
    await expect(control.drain(terms({ timeoutMs: 1_500 }))).rejects.toMatchObject({
      code: 'DRAIN_TIMEOUT',
      message: expect.stringMatching(
        new RegExp(
          `shop\\.orders, locked by DMLProc \\(lock ${orders?.id}, pid ${orders?.process.pid}, session ${orders?.session}\\).*shop\\.sales, locked by cpimport \\(lock ${sales?.id}, pid ${load.pid}\\).*cpimport \\(pid ${load.pid}\\) runs on this node`,
        ),
      ),
      tableLocks: [{ table: 'shop.orders' }, { table: 'shop.sales' }],
    });
    await expect(control.drain(terms({ refuseCpimport: true }))).rejects.toMatchObject({ code: 'CPIMPORT_RUNNING' });
    expect(isSuspended()).toBe(false);
    await load.finish();
    await transaction.commit();
    await control.drain(terms());
  });

  test('who was in the way is named also when the last look takes too long', async () => {
    const transaction = await openTransaction(held, 'shop.orders');
    const drained = held.control().drain(terms({ timeoutMs: 3_000 }));
    await eventually(() => held.calls('viewtablelock').length > 1);
    held.double.fault({ viewtablelockHangs: true });
    await expect(drained).rejects.toMatchObject({
      code: 'DRAIN_TIMEOUT',
      message: expect.stringContaining('shop.orders, locked by DMLProc'),
    });
    await transaction.commit();
  });

  test('the lock of a load that was killed is named and left alone', async () => {
    await held.double.createTable('shop.sales');
    const load = await held.double.load('shop.sales');
    await load.kill();
    await expect(held.control().drain(terms({ timeoutMs: 1_500 }))).rejects.toMatchObject({
      code: 'DRAIN_TIMEOUT',
      message: expect.stringContaining(`shop.sales, locked by cpimport (lock ${held.double.state().locks[0]?.id}, pid ${load.pid})`),
    });
    expect(held.double.state().locks).toHaveLength(1);
    expect(held.calls('cleartablelock')).toEqual([]);
  });

  test('when controllernode dies the set is void, and it is said what to restart', async () => {
    const control = held.control();
    const stand = await control.suspend(terms());
    await held.double.primary.kill('controllernode');
    const hint = new RegExp(`Restart DMLProc, and ${options.generation === '22.08' ? 'PrimProc' : 'ExeMgr'}`);
    const lost = { code: 'ATTEST_FAILED', message: expect.stringContaining('controllernode'), hint: expect.stringMatching(hint) };
    await expect(control.attest(stand, noSignal)).rejects.toMatchObject(lost);
    await expect(control.resume(bound(500))).rejects.toMatchObject({ code: 'RESUME_FAILED' });
    await held.double.primary.start('controllernode');
    // SUSPENDED of mcsadmin outlives it, the flag in its memory does not.
    expect(isSuspended()).toBe(name === 'mcsadmin');
    await expect(control.attest(stand, noSignal)).rejects.toMatchObject(lost);
    await control.resume(bound());
    expect(isSuspended()).toBe(false);
  });

  test('the block resolution manager that cannot be saved is told, and the engine is resumed', async () => {
    for (const [saveBrm, words] of [
      ['fails', 'Save failed'],
      ['half', 'save_brm did not end well'],
    ] as const) {
      const control = held.control();
      await control.suspend(terms());
      held.double.fault({ saveBrm });
      await expect(control.saveBrm(noSignal)).rejects.toMatchObject({ code: 'BRM_FAILED', message: expect.stringContaining(words) });
      held.double.fault({ saveBrm: 'well' });
      await control.resume(bound());
      expect(isSuspended()).toBe(false);
    }
  });

  test('table locks that cannot be listed are not taken for none', async () => {
    held.double.fault({ viewtablelockFails: 1 });
    await expect(held.control().drain(terms())).rejects.toMatchObject({ code: 'ENGINE_NOT_READY' });
    held.double.fault({ viewtablelockHangs: true });
    await expect(held.control().drain(terms({ timeoutMs: 500 }))).rejects.toMatchObject({ code: 'DRAIN_TIMEOUT' });
    expect(isSuspended()).toBe(false);
  });

  test('a configuration that changes under the suspension voids it', async () => {
    const control = held.control();
    const stand = await control.suspend(terms());
    held.double.pushConfig(2);
    await expect(control.attest(stand, noSignal)).rejects.toMatchObject({
      code: 'ATTEST_FAILED',
      message: expect.stringContaining('was changed'),
    });
    await control.resume(bound());
    expect(isSuspended()).toBe(false);
  });
});

describe.each(DRIVERS.filter(([name]) => name !== 'mcsadmin'))('the flag of controllernode, by %s %j', (name, options) => {
  withEngine(options);

  test('a lock that slips in just before the flag is caught: writes go on, and it is tried again', async () => {
    await held.double.createTable('shop.orders');
    held.double.fault({ slipIn: ['shop.orders'] });
    const control = held.control();
    const stands: unknown[] = [];
    const stand = await control.suspend(terms({ beforeFlag: (before) => Promise.resolve(void stands.push(before)) }));
    expect(stands).toHaveLength(2);
    expect(held.double.state()).toMatchObject({ readOnly: true, locks: [] });
    await control.attest(stand, noSignal);
    await control.resume(bound());
  });

  test('writers that slip in each time are not waited for without end', async () => {
    await held.double.createTable('shop.orders');
    held.double.fault({ slipIn: Array.from({ length: 1_000 }, () => 'shop.orders') });
    const control = held.control();
    await expect(control.suspend(terms({ timeoutMs: 1_500 }))).rejects.toMatchObject({
      code: expect.stringMatching(/^(DRAIN_TIMEOUT|SUSPEND_FAILED)$/),
    });
    await control.resume(bound());
    expect(held.double.state()).toMatchObject({ readOnly: false, locks: [] });
  });

  test('a write that met the read-only engine voids the set; its lock is reported with what to do, and never cleared', async () => {
    await held.double.createTable('shop.orders');
    const control = held.control();
    const stand = await control.suspend(terms());
    const session = held.double.session();
    await expect(session.query('INSERT INTO shop.orders VALUES (1)')).rejects.toThrow('DBRM is read only.');
    await expect(control.attest(stand, noSignal)).rejects.toMatchObject({
      code: 'ATTEST_FAILED',
      message: expect.stringContaining('shop.orders, locked by DMLProc'),
    });
    const { stuckLocks } = await control.resume(bound());
    expect(stuckLocks).toEqual([expect.stringMatching(/^Table shop\.orders is still locked by DMLProc .*restart DMLProc/)]);
    expect(held.double.state().locks).toHaveLength(1);
    expect(held.calls('cleartablelock')).toEqual([]);
  });

  test('resuming is tried again until the engine says that it is read-write', async () => {
    const control = held.control();
    await control.suspend(terms());
    for (const { cmapi } of held.double.nodes) await cmapi?.stop();
    held.double.fault({ dbrmctlFails: { readwrite: 2 } });
    expect(await control.resume(bound())).toMatchObject({ way: { by: 'dbrmctl' } });
    expect(held.calls('dbrmctl').filter((args) => args === 'readwrite')).toHaveLength(3);
    expect(held.double.state().readOnly).toBe(false);
  });

  test('an engine that does not become read-write is told within the bound; another resume may succeed', async () => {
    const control = held.control();
    await control.suspend(terms());
    for (const { cmapi } of held.double.nodes) await cmapi?.stop();
    held.double.fault({ dbrmctlFails: { readwrite: 1_000 } });
    await expect(control.resume(bound(500))).rejects.toMatchObject({
      code: 'RESUME_FAILED',
      message: expect.stringContaining('DBRM is currently Read Only!'),
    });
    held.double.fault({ dbrmctlFails: {} });
    await control.resume(bound());
    expect(held.double.state().readOnly).toBe(false);
  });

  test('a dbrmctl that hangs does not keep the engine suspended, nor anybody waiting', async () => {
    held.double.fault({ dbrmctlHangs: ['status'] });
    await expect(held.control().requireWritable(noSignal)).rejects.toMatchObject({ code: 'ENGINE_NOT_READY' });
    held.double.fault({ dbrmctlHangs: name === 'dbrmctl' ? ['readonly'] : [] });
    for (const { cmapi } of held.double.nodes) await cmapi?.stop();
    const control = held.control();
    await expect(control.suspend(terms({ timeoutMs: 1_000 }))).rejects.toMatchObject({ code: 'SUSPEND_FAILED' });
    await control.resume(bound());
    expect(held.double.state().readOnly).toBe(false);
  });
});
