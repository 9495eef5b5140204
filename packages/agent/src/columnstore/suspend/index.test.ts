import { join } from 'node:path';
import { systemClock } from '@stillpoint/shared/time';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { noSignal } from '../../../../../test/harness/engine-control.ts';
import { type EnginePrograms, enginePrograms } from '../../../../../test/harness/engine-programs.ts';
import { writeCmapiConfig } from '../../../../../test/harness/https-server.ts';
import { agentConfigSchema, type ColumnstoreConfig } from '../../config/schema.ts';
import type { Generation } from '../types.ts';
import { chooseDriver, openControl, readEngineStatus } from './index.ts';

let engine: EnginePrograms;
beforeEach(() => {
  engine = enginePrograms();
});
afterEach(() => engine.remove());

/** As in an agent.yaml that says nothing but this. */
const config = (suspend: ColumnstoreConfig['suspend'] = 'auto'): ColumnstoreConfig =>
  agentConfigSchema.shape.columnstore.parse({ suspend, cmapi: { configFile: join(engine.directory, 'cmapi_server.conf') } });

describe('left to itself, an agent suspends by', () => {
  const chosen = (generation: Generation, managedByCmapi: boolean): string =>
    chooseDriver(engine.engine({ generation, topology: { ...engine.engine().topology, managedByCmapi } }), config());

  test('mcsadmin before 5', () => {
    writeCmapiConfig(config().cmapi.configFile, 'key');
    expect([chosen('oam', false), chosen('1.4', true)]).toEqual(['mcsadmin', 'mcsadmin']);
  });

  test('cmapi where that manages the cluster and its key can be read, else by dbrmctl', () => {
    expect([chosen('5', true), chosen('22.08', false)]).toEqual(['dbrmctl', 'dbrmctl']);
    writeCmapiConfig(config().cmapi.configFile, 'key');
    expect([chosen('5', true), chosen('22.08', true), chosen('5', false)]).toEqual(['cmapi', 'cmapi', 'dbrmctl']);
  });

  test.each(['dbrmctl', 'cmapi', 'mcsadmin'] as const)('%s when that is configured', (suspend) => {
    expect(openControl({ engine: engine.engine(), config: config(suspend), clock: systemClock }).driver).toBe(suspend);
  });
});

describe('the status of the engine', () => {
  test('is what it says', async () => {
    expect(await readEngineStatus(engine.engine(), config(), noSignal)).toMatchObject({ mode: 'read-write', ready: true });
    engine.set('down');
    expect(await readEngineStatus(engine.engine(), config(), noSignal)).toMatchObject({
      mode: 'unreachable',
      text: expect.stringMatching(/unspecific communication error\. \(.*Connection refused\)$/),
    });
  });

  test('is unknown without the program, and when nobody waits for it', async () => {
    const abort = new AbortController();
    abort.abort(new Error('enough'));
    expect(await readEngineStatus(engine.engine(), config(), abort.signal)).toMatchObject({
      mode: 'unknown',
      text: expect.stringContaining('enough'),
    });
    process.env.PATH = engine.directory;
    expect(await readEngineStatus(engine.engine(), config(), noSignal)).toMatchObject({
      mode: 'unknown',
      text: expect.stringContaining('dbrmctl is not installed'),
    });
  });
});
