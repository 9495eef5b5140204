import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import {
  FinishTaskSchema,
  RollbackTaskSchema,
  StartServerTaskSchema,
  StopServerTaskSchema,
  SwitchTaskSchema,
} from '@stillpoint/shared/proto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openRepository, verifyPart } from '../../packages/agent/src/repository/index.ts';
import {
  finishTask,
  rollbackTask,
  stageTask,
  startServerTask,
  stopServerTask,
  switchTask,
  unfinishedRestore,
} from '../../packages/agent/src/restore/index.ts';
import { loadShop, mark, markers, shopChecksums } from '../harness/data.ts';
import { replaceProgram } from '../harness/gates.ts';
import { type Rig, SET, stageSpec, startRig, takePart, taskOf } from './rig.ts';

let rig: Rig;
let part: Awaited<ReturnType<typeof takePart>>;
let checksums: Record<string, string>;
beforeAll(async () => {
  rig = await startRig();
  await loadShop(rig.server, 4);
  await mark(rig.server, 'before');
  part = await takePart(rig);
  checksums = await shopChecksums(rig.server);
});
afterAll(() => rig.server.remove());

const stop = () => stopServerTask.run(rig.agent, create(StopServerTaskSchema), taskOf('x'));
const start = () => startServerTask.run(rig.agent, create(StartServerTaskSchema, { timeout: durationFromMs(60_000) }), taskOf('x'));
const doSwitch = (operation: string) => switchTask.run(rig.agent, create(SwitchTaskSchema), taskOf(operation));
const rollback = (operation: string, restartServer: boolean) =>
  rollbackTask.run(rig.agent, create(RollbackTaskSchema, { restartServer }), taskOf(operation));
const finish = (operation: string) => finishTask.run(rig.agent, create(FinishTaskSchema), taskOf(operation));
const beside = (): string[] => readdirSync(dirname(rig.server.datadir)).filter((name) => name.startsWith('.stillpoint'));

test('stage, stop, switch, start: the rows of the cut are back, later ones are not, and the old data is kept', async () => {
  const { server, config } = rig;
  expect((await verifyPart(openRepository(config), SET, 'db1', taskOf('v'))).problems).toEqual([]);
  await mark(server, 'after');
  const task = taskOf('restore-1');
  const staged = await stageTask.run(rig.agent, stageSpec(part), task);
  expect(staged.result).toMatchObject({ case: 'stage', value: { tablesEqual: 6, tablesUnproven: [] } });
  expect([...task.steps]).toEqual(['extract', 'prepare', 'checksum']);
  expect(await unfinishedRestore(config.stateDir)).toBe('restore-1');
  expect(await markers(server)).toEqual(['after', 'before']);

  // A finished stage is found again: nothing is done twice.
  const again = taskOf('restore-1');
  expect(await stageTask.run(rig.agent, stageSpec(part), again)).toEqual(staged);
  expect(again.steps.size).toBe(0);

  await expect(doSwitch('restore-1')).rejects.toMatchObject({ code: 'SERVER_RUNNING' });
  await stop();
  await stop();
  const { mode, uid } = statSync(server.datadir);
  const switched = await doSwitch('restore-1');
  expect(switched.result).toMatchObject({
    case: 'switch',
    value: { kept: [join(dirname(server.datadir), '.stillpoint-kept-restore-1')], configuration: [] },
  });
  expect(await doSwitch('restore-1')).toEqual(switched);
  expect(statSync(server.datadir)).toMatchObject({ mode, uid });

  const started = await start();
  expect(started.result).toMatchObject({
    case: 'startServer',
    value: { position: { gtidBinlogPos: '', gtidSlavePos: part.part.mariadb?.position.gtidBinlogPos } },
  });
  expect(await markers(server)).toEqual(['before']);
  expect(await shopChecksums(server)).toEqual(checksums);
});

test('the next write continues the history of transactions', async () => {
  const [domain, , sequence] = (part.part.mariadb?.position.gtidBinlogPos ?? '').split('-');
  await mark(rig.server, 'next');
  const [row] = await rig.server.sql('SELECT @@gtid_binlog_pos AS p');
  expect(row?.p).toBe(`${domain}-1-${Number(sequence) + 1}`);
});

test('rollback brings the newer data back by a rename, sets the restored data aside, and finish frees it', async () => {
  const back = await rollback('restore-1', true);
  const aside = join(dirname(rig.server.datadir), '.stillpoint-undone-restore-1');
  expect(back.result).toMatchObject({ case: 'rollback', value: { switchedBack: true, setAside: aside } });
  expect(await markers(rig.server)).toEqual(['after', 'before']);
  expect(await unfinishedRestore(rig.config.stateDir)).toBeUndefined();
  expect(await rollback('restore-1', false)).toEqual(back);
  expect(beside()).toEqual(['.stillpoint-undone-restore-1']);
  expect(await finish('restore-1')).toMatchObject({
    result: { value: { freedBytes: expect.toSatisfy((bytes: bigint) => bytes > 1_000_000n) } },
  });
  expect(await finish('restore-1')).toMatchObject({ result: { value: { freedBytes: 0n } } });
  expect(beside()).toEqual([]);
  await expect(rollback('restore-1', false)).rejects.toMatchObject({ code: 'NOTHING_TO_ROLL_BACK' });
});

test('rollback of a stage alone throws it away and leaves the running server alone', async () => {
  await stageTask.run(rig.agent, stageSpec(part), taskOf('restore-2'));
  const { pid } = rig.server;
  const back = await rollback('restore-2', false);
  expect(back.result).toMatchObject({ value: { switchedBack: false, setAside: '' } });
  expect(beside()).toEqual([]);
  expect(rig.server.pid).toBe(pid);
});

test('a second restore is refused while one is unfinished', async () => {
  await stageTask.run(rig.agent, stageSpec(part), taskOf('restore-3'));
  await expect(stageTask.run(rig.agent, stageSpec(part), taskOf('restore-4'))).rejects.toMatchObject({ code: 'RESTORE_UNFINISHED' });
  await expect(finish('restore-3')).rejects.toMatchObject({ code: 'RESTORE_REFUSED' });
  await rollback('restore-3', false);
});

test('a wiped data directory comes back', async () => {
  const { server } = rig;
  await stop();
  rmSync(server.datadir, { recursive: true });
  await stageTask.run(rig.agent, stageSpec(part), taskOf('restore-5'));
  const switched = await doSwitch('restore-5');
  expect(switched.result).toMatchObject({ value: { kept: [] } });
  await start();
  expect(await shopChecksums(server)).toEqual(checksums);
  await finish('restore-5');
  expect(existsSync(server.datadir)).toBe(true);
  expect(beside()).toEqual([]);
});

test('what the journal calls staged or switched is on its disk before', async () => {
  const { server, config, home } = rig;
  const programs = join(home, 'programs');
  const seen = join(home, 'synced');
  const journal = join(config.stateDir, 'restore', 'restore-6.json');
  const present = process.env.PATH;
  mkdirSync(programs);
  // Says what it was called for and what the journal told then, and becomes the real one.
  replaceProgram(programs, 'sync', `echo "$*: $(grep '"phase"' ${journal})" >>${seen}\nPATH=\${PATH#*:} exec sync "$@"\n`);
  process.env.PATH = `${programs}:${present}`;
  try {
    await stageTask.run(rig.agent, stageSpec(part), taskOf('restore-6'));
    await stop();
    await doSwitch('restore-6');
    await rollback('restore-6', true);
  } finally {
    process.env.PATH = present;
  }
  expect(readFileSync(seen, 'utf8').split('\n')).toEqual([
    `-f ${join(dirname(server.datadir), '.stillpoint-stage-restore-6')}:   "phase": "staging",`,
    `-f ${server.datadir}:   "phase": "switching",`,
    '',
  ]);
  await finish('restore-6');
});

test('the private server leaves an engine of ColumnStore alone, whatever the option file loads', async () => {
  const { home, config } = rig;
  const programs = join(home, 'looking-programs');
  const seen = join(home, 'private');
  const present = process.env.PATH;
  mkdirSync(programs);
  const note = `case " $* " in *" --skip-grant-tables "*) echo "$*" >>${seen} ;; esac\n`;
  replaceProgram(programs, 'mariadbd', `${note}PATH=\${PATH#*:} exec mariadbd "$@"\n`);
  process.env.PATH = `${programs}:${present}`;
  try {
    await stageTask.run(rig.agent, stageSpec(part), taskOf('restore-7'));
  } finally {
    process.env.PATH = present;
  }
  // The plugin is loaded and switched off: others that the option file loads may be needed to read the data.
  for (const plugin of ['', '-columns', '-tables', '-files', '-extents'])
    expect(readFileSync(seen, 'utf8')).toContain(` --loose-columnstore${plugin}=OFF`);
  await rollback('restore-7', false);
  expect(await unfinishedRestore(config.stateDir)).toBeUndefined();
});
