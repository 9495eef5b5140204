import { chmodSync, chownSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { controlOf, noSignal, suspendTerms } from '../../../../../test/harness/engine-control.ts';
import { type EnginePrograms, enginePrograms } from '../../../../../test/harness/engine-programs.ts';
import { eventually } from '../../../../../test/harness/eventually.ts';

let engine: EnginePrograms;
beforeEach(() => {
  engine = enginePrograms();
});
afterEach(() => engine.remove());

const root = (): string => engine.engine().topology.dbrmRoot;
const save = (signal = noSignal) => controlOf(engine).saveBrm(signal);

test('it is saved, and the plain set is current', async () => {
  const held = controlOf(engine);
  await held.suspend(suspendTerms());
  await held.saveBrm(noSignal);
  expect(readFileSync(`${root()}_current`, 'utf8')).toBe('BRM_saves\n');
  expect(engine.commands()).toEqual(['dbrmctl readonly', 'save_brm']);
});

test('only the primary saves', async () => {
  await controlOf(engine, { isPrimary: false }).saveBrm(noSignal);
  expect(engine.calls()).toEqual([]);
});

test('it is not saved while the engine does not run: that would make it empty shared memory', async () => {
  engine.set('down');
  await expect(save()).rejects.toMatchObject({ code: 'BRM_FAILED', message: expect.stringContaining('does not run') });
  expect(engine.commands()).toEqual([]);
});

test.each([
  [
    'it says that it failed',
    "echo 'ExtentMap::save(): got request to save an empty BRM'; echo 'Save failed'; exit 1",
    'exited with 1 and said: ExtentMap::save(): got request to save an empty BRM Save failed',
  ],
  ['it says nothing', 'exit', 'exited with 0 and said: nothing'],
  ['it says more', 'echo "exception"; ', 'exited with 0 and said: exception Saved to'],
  [
    'it saved, then failed',
    'echo "Saved to $DBRM/BRM_saves"; echo "Error: could not open" >&2; exit 1',
    'exited with 1 and said: Saved to',
  ],
  ['it saved to somewhere else', 'echo "Saved to /elsewhere/BRM_saves"; exit', 'saved to /elsewhere/BRM_saves; by the configuration'],
  [
    'it left another set current',
    'rm -f "$DBRM/BRM_saves_current"; for s in em vbbm vss; do : >"$DBRM/BRM_savesA_$s"; done; : >"$DBRM/BRM_saves_journal"; echo BRM_savesA >"$DBRM/BRM_saves_current"; echo "Saved to $DBRM/BRM_saves"; exit',
    'the current set is still BRM_savesA',
  ],
  ['it left no journal', 'echo BRM_saves >"$DBRM/BRM_saves_current"; echo "Saved to $DBRM/BRM_saves"; exit', 'which is not there'],
])('it counts as not saved when %s', async (_, script, words) => {
  engine.before('save_brm', script);
  await expect(save()).rejects.toMatchObject({ code: 'BRM_FAILED', message: expect.stringContaining(words) });
});

test('a save that has begun is not cut short', async () => {
  const abort = new AbortController();
  const reason = new Error('enough');
  engine.before('save_brm', 'trap "" TERM; touch begun; sleep 0.3; touch saved');
  const saving = save(abort.signal);
  await eventually(() => existsSync(join(engine.directory, 'state', 'begun')));
  abort.abort(reason);
  await expect(saving).rejects.toBe(reason);
  expect(readFileSync(join(engine.directory, 'state', 'saved'), 'utf8')).toBe('');
  expect(readFileSync(`${root()}_current`, 'utf8')).toBe('BRM_saves\n');
});

test('a directory that is missing is named', async () => {
  rmSync(dirname(root()), { recursive: true });
  await expect(save()).rejects.toMatchObject({ code: 'BRM_FAILED', message: expect.stringContaining(dirname(root())) });
});

test.runIf(process.geteuid?.() === 0)('it is saved by the owner of its files', async () => {
  for (const name of ['', 'bin', 'state', 'hooks', 'data1', 'data1/systemFiles']) chmodSync(join(engine.directory, name), 0o777);
  chownSync(dirname(root()), 65_534, 65_534);
  engine.before('save_brm', 'id -u >by; id -g >>by');
  await save();
  expect(readFileSync(join(engine.directory, 'state', 'by'), 'utf8')).toBe('65534\n65534\n');
});
