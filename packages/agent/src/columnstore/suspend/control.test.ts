import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { controlOf, noSignal } from '../../../../../test/harness/engine-control.ts';
import { type EnginePrograms, enginePrograms } from '../../../../../test/harness/engine-programs.ts';

let engine: EnginePrograms;
beforeEach(() => {
  engine = enginePrograms();
});
afterEach(() => engine.remove());

describe('an engine that is to be suspended', () => {
  test('may be, when it is read-write and ready', async () => {
    await expect(controlOf(engine).requireWritable(noSignal)).resolves.toBeUndefined();
    expect(engine.commands()).toEqual([]);
  });

  test.each([
    ['read-only by somebody else', 'ro', 'ENGINE_READ_ONLY', 'DBRM is currently Read Only!'],
    ['not ready', 'not-ready', 'ENGINE_NOT_READY', 'the system is not ready'],
    ['out of reach', 'down', 'ENGINE_NOT_READY', 'Connection refused'],
  ] as const)('may not be when it is %s', async (_, flag, code, words) => {
    engine.set(flag);
    await expect(controlOf(engine).requireWritable(noSignal)).rejects.toMatchObject({ code, message: expect.stringContaining(words) });
  });

  test('may not be when its file contradicts the node', async () => {
    await expect(controlOf(engine, { contradictions: ['the file says A, the node B'] }).requireWritable(noSignal)).rejects.toMatchObject({
      code: 'COLUMNSTORE_CONFIG',
      message: 'the file says A, the node B',
    });
  });

  test('may not be when its primary does not run controllernode', async () => {
    engine.processes.splice(0);
    await expect(controlOf(engine).requireWritable(noSignal)).rejects.toMatchObject({
      code: 'COLUMNSTORE_CONFIG',
      message: expect.stringContaining('controllernode'),
    });
    await expect(controlOf(engine, { isPrimary: false }).requireWritable(noSignal)).resolves.toBeUndefined();
  });
});
