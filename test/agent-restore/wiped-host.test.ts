import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadShop, mark, markers, shopChecksums } from '../harness/data.ts';
import { writePartManifest } from './parts.ts';
import { agentOf, type Rig, startRig, type TakenPart, takePart } from './rig.ts';
import { tasksOf } from './tasks.ts';

let rig: Rig;
let part: TakenPart;
let checksums: Record<string, string>;

/** A server whose own option file is part of the backup. */
beforeAll(async () => {
  const started = await startRig();
  const config = { ...started.config, configuration: [started.server.defaultsFile] };
  rig = { ...started, config, agent: agentOf(config) };
  await loadShop(rig.server, 2);
  await mark(rig.server, 'before');
  part = await takePart(rig, [rig.server.defaultsFile]);
  checksums = await shopChecksums(rig.server);
});
afterAll(() => rig.server.remove());

test('a host without data and without an option file comes back with both', async () => {
  const { datadir, defaultsFile } = rig.server;
  const options = readFileSync(defaultsFile, 'utf8');
  await rig.server.stop();
  rmSync(datadir, { recursive: true });
  rmSync(defaultsFile);
  const restore = tasksOf(rig, 'restore-1');
  const staged = await restore.stage(part, { restoreConfiguration: true });
  expect(staged.result).toMatchObject({ value: { tablesEqual: 6 } });
  const switched = await restore.doSwitch();
  expect(switched.result).toMatchObject({ value: { kept: [], configuration: [defaultsFile] } });
  expect(readFileSync(defaultsFile, 'utf8')).toBe(options);
  await restore.start();
  expect(await markers(rig.server)).toEqual(['before']);
  expect(await shopChecksums(rig.server)).toEqual(checksums);
  await restore.finish();
});

test('without the configuration in the plan, a missing option file is told', async () => {
  const { defaultsFile } = rig.server;
  const options = readFileSync(defaultsFile);
  await rig.server.stop();
  rmSync(defaultsFile);
  try {
    await expect(tasksOf(rig, 'restore-2').stage(part)).rejects.toMatchObject({ code: 'CONFIG_FILE_UNREADABLE' });
  } finally {
    writeFileSync(defaultsFile, options);
  }
});

test('a configuration that names another data directory is refused before anything is made', async () => {
  const mariadb = part.part.mariadb;
  if (mariadb === undefined) throw new Error('the part has a server');
  const place = { repository: rig.config.repository, cluster: 'shop', setId: part.part.setId, node: 'db1' };
  const moved = writePartManifest(place, { ...part.part, mariadb: { ...mariadb, datadir: '/somewhere/else' } });
  await expect(tasksOf(rig, 'restore-3').stage(moved, { restoreConfiguration: true })).rejects.toMatchObject({
    code: 'RESTORE_REFUSED',
    message: expect.stringContaining('/somewhere/else'),
  });
});
