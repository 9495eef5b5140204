import { expect, test } from 'vitest';
import type { EngineServiceConfig } from '../../config/schema.ts';
import type { Engine } from '../types.ts';
import { loadsBrm, stagedProcesses } from './stages.ts';

const COMMANDS: EngineServiceConfig = { driver: 'commands', start: ['a'], stop: ['b'] };
const SYSTEMD: EngineServiceConfig = { driver: 'systemd' };
const MCSADMIN: EngineServiceConfig = { driver: 'mcsadmin' };
const engine = (fields: Partial<Engine>, managedByCmapi = false): Engine =>
  ({ generation: '5', module: 1, isPrimary: true, topology: { managedByCmapi }, ...fields }) as Engine;
const named = (of: Engine, service: EngineServiceConfig): string[] =>
  stagedProcesses(of, service).map(({ name, stage }) => `${stage} ${name}`);

test('each process is a stage of its own where they are started one by one; those of the primary alone belong nowhere else', () => {
  expect(named(engine({}), COMMANDS)).toEqual([
    ...['1 workernode', '2 controllernode', '3 PrimProc', '4 WriteEngineServer', '5 ExeMgr', '6 DMLProc', '7 DDLProc'],
  ]);
  expect(named(engine({ isPrimary: false, module: 2 }), COMMANDS)).toEqual([
    '1 workernode',
    '3 PrimProc',
    '4 WriteEngineServer',
    '5 ExeMgr',
  ]);
  expect(named(engine({ isPrimary: false, module: 2, generation: '22.08' }), COMMANDS)).not.toContain('5 ExeMgr');
});

test('one call is one stage; cmapi, which carries it out on a cluster, comes before and goes after', () => {
  expect(new Set(stagedProcesses(engine({}), SYSTEMD).map(({ stage }) => stage))).toEqual(new Set([1]));
  expect(named(engine({ isPrimary: false, module: 2 }, true), SYSTEMD)).toEqual([
    ...['1 cmapi', '2 workernode', '2 PrimProc', '2 WriteEngineServer', '2 ExeMgr'],
  ]);
});

test('before 1.4 some processes may belong to modules of their own', () => {
  expect(named(engine({ generation: 'oam' }), MCSADMIN)).toEqual(['1 workernode', '1 controllernode', '1 PrimProc', '1 WriteEngineServer']);
});

test('a node that is no module has none, and only commands leave the block resolution manager to us', () => {
  expect(named(engine({ module: 0 }), COMMANDS)).toEqual([]);
  expect([COMMANDS, SYSTEMD, MCSADMIN].map(loadsBrm)).toEqual([true, false, false]);
});
