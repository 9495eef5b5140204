import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { resumeIfSuspended } from '../../packages/agent/src/columnstore/suspend/index.ts';
import { eventually } from '../harness/eventually.ts';
import { bound, type HeldEngine, heldEngine, noSignal, openTransaction, terms } from './held-engine.ts';

describe.each(['oam', '1.4'] as const)('mcsadmin of generation %s', (generation) => {
  let held: HeldEngine;
  beforeAll(async () => {
    held = await heldEngine({ generation });
  });
  beforeEach(() => held.begin());
  afterAll(() => held?.remove());

  const mcsadmin = async (...args: readonly string[]): Promise<string> => (await held.double.primary.run('mcsadmin', args)).stdout;

  test('a question decides nothing: the form that asks none is used', async () => {
    const transaction = await openTransaction(held, 'shop.orders');
    expect(await mcsadmin('suspendDatabaseWrites', 'y')).toContain('What would you like to do: [Cancel]: ');
    expect(held.double.state()).toMatchObject({ suspended: false, suspendPending: false });
    await transaction.commit();
    const control = held.control();
    await control.suspend(terms());
    expect(
      held
        .calls('mcsadmin')
        .filter((args) => args.startsWith('suspend'))
        .slice(1),
    ).toEqual(['suspendDatabaseWrites y WAIT']);
    await control.resume(bound());
  });

  test('a transaction that slips in between is waited for, within the bound; the pending suspension is taken back', async () => {
    await held.double.createTable('shop.orders');
    const session = held.double.session();
    const beforeFlag = async (): Promise<void> => {
      await session.query('START TRANSACTION');
      await session.query('INSERT INTO shop.orders VALUES (1)');
    };
    const control = held.control();
    await expect(control.suspend(terms({ timeoutMs: 1_500, beforeFlag }))).rejects.toMatchObject({
      code: expect.stringMatching(/^(DRAIN_TIMEOUT|SUSPEND_FAILED)$/),
    });
    await control.resume(bound());
    expect(held.double.state()).toMatchObject({ suspended: false, suspendPending: false });
    await session.query('COMMIT');
    expect(held.double.state()).toMatchObject({ suspended: false, locks: [] });
    session.close();
  });

  test('what it fails at is told in its own words, whatever its exit code', async () => {
    held.double.fault({ mcsadminFails: 'Connection refused' });
    const control = held.control();
    await expect(control.suspend(terms())).rejects.toMatchObject({
      code: 'SUSPEND_FAILED',
      message: expect.stringContaining('stopDatabaseWrites Failed: Connection refused'),
    });
    await control.resume(bound());
    held.double.fault({ mcsadminFails: '', saveBrm: 'fails' });
    await expect(control.suspend(terms())).rejects.toMatchObject({
      code: 'SUSPEND_FAILED',
      message: expect.stringContaining('save_brm Failed'),
    });
    expect(held.double.state().suspended).toBe(false);
  });

  test('an image that was taken suspended comes up suspended, and is resumed', async () => {
    await held.control().suspend(terms());
    await held.double.stopEngine('clean');
    held.double.loadBrm();
    await held.double.startEngine();
    expect(held.double.state().suspended).toBe(true);
    const { engine, config } = held;
    const resume = { engine, config, ...bound() };
    expect(await resumeIfSuspended(resume)).toBe(true);
    expect(await resumeIfSuspended(resume)).toBe(false);
    await eventually(async () => (await held.driver.status(noSignal)).mode === 'read-write');
  });
});
