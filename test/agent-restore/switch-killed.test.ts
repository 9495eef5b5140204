import { appendFileSync, chmodSync, chownSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadShop, mark, markers, shopChecksums } from '../harness/data.ts';
import { agentOf, type Rig, startRig, type TakenPart, takePart } from './rig.ts';
import { tasksOf } from './tasks.ts';

let rig: Rig;
let part: TakenPart;
let tuning: string;
let checksums: Record<string, string>;

/** A server whose option file includes a file that is part of the backup, and whose binary logs lie elsewhere. */
beforeAll(async () => {
  const started = await startRig();
  const etc = join(started.home, 'etc');
  mkdirSync(etc);
  tuning = join(etc, 'tuning.cnf');
  writeFileSync(tuning, '[mariadbd]\nmax_connections=77\n');
  chmodSync(tuning, 0o640);
  const logs = join(started.server.directory, 'logs');
  mkdirSync(logs);
  const { uid, gid } = statSync(started.server.datadir);
  chownSync(logs, uid, gid);
  appendFileSync(started.server.defaultsFile, `log-bin=${logs}/bin\n!include ${tuning}\n`);
  await started.server.stop();
  await started.server.start();
  const config = { ...started.config, configuration: [etc] };
  rig = { ...started, config, agent: agentOf(config) };
  await loadShop(rig.server, 2);
  await mark(rig.server, 'before');
  part = await takePart(rig, [tuning]);
  checksums = await shopChecksums(rig.server);
  await mark(rig.server, 'after');
  writeFileSync(tuning, '[mariadbd]\nmax_connections=99\n');
  chmodSync(tuning, 0o600);
});
afterAll(() => rig.server.remove());

const maxConnections = async (): Promise<number> => Number((await rig.server.sql('SELECT @@max_connections AS n'))[0]?.n);
/** Between the two renames there is no data directory at all: the most dangerous moment. */
const between = (operation: string): string => `moved ${join(rig.server.directory, `.stillpoint-kept-${operation}`)}`;

test('killed between the two renames, the switch goes back: data, logs and configuration as they were', async () => {
  const restore = tasksOf(rig, 'restore-1');
  await restore.stage(part, { restoreConfiguration: true });
  await restore.stop();
  expect(restore.killed('switch', between('restore-1'))).toBe('SIGKILL');
  expect(existsSync(rig.server.datadir)).toBe(false);
  const back = await restore.rollback(true);
  expect(back.result).toMatchObject({ value: { switchedBack: true, setAside: '' } });
  expect(await markers(rig.server)).toEqual(['after', 'before']);
  expect(readFileSync(tuning, 'utf8')).toContain('99');
  expect(existsSync(`${tuning}.found-restore-1`)).toBe(false);
  // The history goes on where it stood: the logs are back too.
  expect((await rig.server.sql('SHOW BINARY LOGS')).length).toBeGreaterThan(1);
});

test('killed between the two renames, the switch goes on: the cut is back, with its configuration, the found one kept', async () => {
  const restore = tasksOf(rig, 'restore-2');
  await restore.stage(part, { restoreConfiguration: true });
  await restore.stop();
  expect(restore.killed('switch', between('restore-2'))).toBe('SIGKILL');
  const switched = await restore.doSwitch();
  const { directory } = rig.server;
  expect(switched.result).toMatchObject({
    value: {
      kept: [join(directory, '.stillpoint-kept-restore-2'), join(directory, 'logs', '.stillpoint-kept-logs-restore-2')],
      configuration: [tuning],
    },
  });
  expect(readFileSync(tuning, 'utf8')).toContain('77');
  expect(statSync(tuning).mode & 0o777).toBe(0o640);
  expect(readFileSync(`${tuning}.found-restore-2`, 'utf8')).toContain('99');
  await restore.start();
  expect(await markers(rig.server)).toEqual(['before']);
  expect(await shopChecksums(rig.server)).toEqual(checksums);
  expect(await maxConnections()).toBe(77);
  expect((await rig.server.sql('SHOW BINARY LOGS')).map(({ Log_name }) => Log_name)).toEqual(['bin.000001']);
});

test('killed on the way back, it goes back all the same', async () => {
  const restore = tasksOf(rig, 'restore-2');
  await mark(rig.server, 'written since');
  await restore.stop();
  expect(restore.killed('rollback', 'undone-restore-2')).toBe('SIGKILL');
  await expect(restore.doSwitch()).rejects.toMatchObject({ code: 'RESTORE_REFUSED' });
  await restore.rollback(true);
  expect(await markers(rig.server)).toEqual(['after', 'before']);
  expect(readFileSync(tuning, 'utf8')).toContain('99');
  expect(await maxConnections()).toBe(99);
  await restore.finish();
});

test('what this agent does not list is not put back, and said so', async () => {
  const restore = tasksOf({ ...rig, agent: agentOf({ ...rig.config, configuration: [join(rig.home, 'elsewhere')] }) }, 'restore-3');
  await restore.stage(part, { restoreConfiguration: true });
  expect(restore.task.logs).toContainEqual(expect.stringContaining(`${tuning} is not put back`));
  await restore.rollback(false);
});
