import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { bound, noSignal, partsOf, suspendTerms } from '../../../../../../test/harness/engine-control.ts';
import { type EnginePrograms, enginePrograms } from '../../../../../../test/harness/engine-programs.ts';
import { createControl } from '../control.ts';
import type { EngineControl } from '../types.ts';
import { resumeIfSuspended } from '../undo.ts';
import { mcsadminDriver } from './driver.ts';

let engine: EnginePrograms;
beforeEach(() => {
  engine = enginePrograms();
});
afterEach(() => engine.remove());

const driver = () => mcsadminDriver(engine.engine());
const parts = () => ({ ...partsOf(engine), driver: driver() });
const control = (): EngineControl => createControl(parts());

test('suspends in the form that asks nothing, and resumes', async () => {
  const held = control();
  await held.requireWritable(noSignal);
  await held.suspend(suspendTerms());
  expect(engine.has('suspended')).toBe(true);
  expect(await held.resume(bound())).toMatchObject({ way: { by: 'mcsadmin' } });
  expect(engine.commands()).toEqual(['mcsadmin suspendDatabaseWrites y WAIT', 'mcsadmin resumeDatabaseWrites y']);
});

test('ACTIVE is believed only when dbrmctl agrees', async () => {
  expect(await driver().status(noSignal)).toMatchObject({ mode: 'read-write', ready: true });
  engine.set('ro');
  expect(await driver().status(noSignal)).toMatchObject({ mode: 'read-only', text: 'ACTIVE; DBRM is currently Read Only!' });
  engine.set('down');
  expect(await driver().status(noSignal)).toMatchObject({ mode: 'unreachable' });
});

test('one that is about to be suspended is not writable', async () => {
  engine.set('pending');
  await expect(control().requireWritable(noSignal)).rejects.toMatchObject({
    code: 'ENGINE_NOT_READY',
    message: expect.stringContaining('WRITE SUSPEND PENDING'),
  });
});

test('a mcsadmin that does not say it was done has not done it, though it exits with 0', async () => {
  engine.before('mcsadmin suspendDatabaseWrites y WAIT', "printf '   Suspension of database writes canceled\\n'; exit");
  await expect(control().suspend(suspendTerms())).rejects.toMatchObject({
    code: 'SUSPEND_FAILED',
    message: 'mcsadmin suspendDatabaseWrites did not succeed: Suspension of database writes canceled',
  });
});

test('a question finds nobody to answer it', async () => {
  engine.before(
    'mcsadmin suspendDatabaseWrites y WAIT',
    'printf "What would you like to do: [Cancel]: "; read answer && touch answered suspended; echo; exit',
  );
  await expect(control().suspend(suspendTerms())).rejects.toMatchObject({
    code: 'SUSPEND_FAILED',
    message: expect.stringContaining('What would you like to do'),
  });
  expect(engine.has('suspended')).toBe(false);
});

test('a suspension that waits longer than the bound is ended, and taken back by the resume', async () => {
  engine.before('mcsadmin suspendDatabaseWrites y WAIT', 'touch pending; exec sleep 60');
  const held = control();
  await expect(held.suspend(suspendTerms({ timeoutMs: 2_000 }))).rejects.toMatchObject({
    code: 'SUSPEND_FAILED',
    message: 'mcsadmin did not suspend the engine within 2.00 s',
  });
  expect(engine.has('pending')).toBe(true);
  await held.resume(bound());
  expect(engine.has('pending')).toBe(false);
});

test('of releases before 1.4 is found beside its configuration', async () => {
  const etc = join(engine.directory, 'etc');
  mkdirSync(etc);
  symlinkSync(engine.engine().configFile, join(etc, 'Columnstore.xml'));
  // Nothing in PATH would do.
  const path = process.env.PATH;
  process.env.PATH = '/usr/bin:/bin';
  try {
    const oam = mcsadminDriver(engine.engine({ generation: 'oam', configFile: join(etc, 'Columnstore.xml') }));
    expect(await oam.status(noSignal)).toMatchObject({ mode: 'read-write' });
    expect(await driver().status(noSignal)).toMatchObject({ mode: 'unknown', text: expect.stringContaining('mcsadmin is not installed') });
  } finally {
    process.env.PATH = path;
  }
});

test('a restored engine that came up suspended is resumed, once', async () => {
  engine.set('suspended');
  expect(await resumeIfSuspended(parts(), bound())).toBe(true);
  expect(await resumeIfSuspended(parts(), bound())).toBe(false);
  expect(engine.commands()).toEqual(['mcsadmin resumeDatabaseWrites y']);
});

test('an engine of another kind that came up read-only has a fault, and is left alone', async () => {
  engine.set('ro');
  expect(await resumeIfSuspended(partsOf(engine), bound())).toBe(false);
  expect(engine.has('ro')).toBe(true);
});
