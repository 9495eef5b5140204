import { appendFileSync, chmodSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { ServiceConfig } from '../../packages/agent/src/config/schema.ts';
import { type ServiceSurroundings, serviceDriver, signOfServer } from '../../packages/agent/src/service/index.ts';
import { type Rig, startRig } from './rig.ts';
import { tasksOf } from './tasks.ts';

let rig: Rig;
let place: ServiceSurroundings;
const path = process.env.PATH;
beforeAll(async () => {
  rig = await startRig();
  const { server } = rig;
  place = { socket: server.socket, pidFile: join(server.directory, 's.pid'), datadir: server.datadir, errorLog: server.errorLog };
});
afterEach(async () => {
  process.env.PATH = path;
  await rig.server.start();
});
afterAll(() => rig.server.remove());

const signal = new AbortController().signal;
type Commands = Extract<ServiceConfig, { driver: 'commands' }>;
const commands = (): Commands => rig.config.mariadb?.service as Commands;
const driver = (service: Partial<Commands> = {}) => serviceDriver({ ...commands(), ...service }, place);

test('commands stop and start the server, twice each without harm', async () => {
  const { stop, start, isRunning } = driver();
  expect(await isRunning(signal)).toBe(true);
  await stop(signal);
  await stop(signal);
  expect(await isRunning(signal)).toBe(false);
  expect(rig.server.pid).toBeUndefined();
  await tasksOf(rig, 'x').start();
  const { pid } = rig.server;
  await start(signal);
  expect(rig.server.pid).toBe(pid);
});

test('a stop that stops nothing is told', async () => {
  await expect(driver({ stop: ['true'] }).stop(signal)).rejects.toMatchObject({
    code: 'SERVICE_FAILED',
    message: expect.stringContaining(`but it answers on ${place.socket}`),
  });
});

test('a stop that fails is told with its last lines and those of the server', async () => {
  await expect(driver({ stop: ['sh', '-c', 'echo no permission >&2; exit 3'] }).stop(signal)).rejects.toMatchObject({
    code: 'SERVICE_FAILED',
    message: expect.stringMatching(/did not stop: no permission\nThe last lines of .*error.log:\n./),
  });
});

test('a driver whose program is missing names it', async () => {
  await expect(driver({ stop: ['no-such-program'] }).stop(signal)).rejects.toMatchObject({
    code: 'SERVICE_FAILED',
    message: expect.stringContaining('no-such-program'),
    hint: expect.stringContaining('mariadb.service'),
  });
});

test('a server that does not come up is told with its errors, before the time is up', async () => {
  const { server } = rig;
  await server.stop();
  const options = readFileSync(server.defaultsFile, 'utf8');
  appendFileSync(server.defaultsFile, 'innodb_data_file_path=ibdata1:512M\n');
  try {
    await expect(tasksOf(rig, 'x').start(100_000)).rejects.toMatchObject({
      code: 'SERVICE_FAILED',
      message: expect.stringMatching(/The server did not start: it has ended again[\s\S]*\[ERROR\] InnoDB/),
    });
  } finally {
    writeFileSync(server.defaultsFile, options);
  }
});

test('a running server is found by its locks when socket and pid file are gone', async () => {
  const names = [place.socket, place.pidFile];
  for (const name of names) renameSync(name, `${name}.away`);
  expect(await signOfServer(place)).toContain(`process ${readFileSync(`${place.pidFile}.away`, 'utf8').trim()} holds`);
  for (const name of names) renameSync(`${name}.away`, name);
});

test('a pid file that names something else is no sign of a server', async () => {
  await rig.server.stop();
  writeFileSync(place.pidFile, String(process.pid));
  expect(await signOfServer(place)).toBeUndefined();
  rmSync(place.pidFile);
});

test('systemd is asked by unit; a unit that is on its way up or down counts as running', async () => {
  const systemd = serviceDriver({ driver: 'systemd', unit: 'mariadb@one' }, place);
  const calls = fakeSystemctl();
  expect(await systemd.isRunning(signal)).toBe(true);
  await systemd.stop(signal);
  expect(await systemd.isRunning(signal)).toBe(true);
  expect(await systemd.isRunning(signal)).toBe(false);
  await systemd.start(signal);
  const show = 'show --property=ActiveState --value -- mariadb@one';
  expect(calls()).toEqual(['stop -- mariadb@one', show, show, 'start -- mariadb@one']);
});

/** A systemctl that runs the rig's commands, and tells of a unit that takes its time to become inactive. */
function fakeSystemctl(): () => string[] {
  const log = join(rig.home, 'systemctl.log');
  const { start, stop } = commands();
  const script = `#!/bin/sh
echo "$*" >>${log}
case $1 in
  start) ${start.join(' ')};;
  stop) ${stop.join(' ')};;
  show) if [ "$(grep -c show ${log})" = 1 ]; then echo deactivating; else echo inactive; fi;;
esac
`;
  writeFileSync(join(rig.home, 'systemctl'), script);
  chmodSync(join(rig.home, 'systemctl'), 0o755);
  process.env.PATH = `${rig.home}:${path}`;
  return () => readFileSync(log, 'utf8').trim().split('\n');
}
