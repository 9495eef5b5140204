import { appendFileSync, chownSync, existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadShop, mark, markers } from '../harness/data.ts';
import type { TestServer } from '../harness/mariadb-server.ts';
import { type Rig, startRig, type TakenPart, takePart } from './rig.ts';
import { tasksOf } from './tasks.ts';

/** Where the option file may send the logs of a server; those in a directory of the data directory travel with it. */
const PLACES = {
  'in a directory of the data directory': ({ datadir }: TestServer) => join(datadir, 'logs'),
  'beside the data directory': ({ directory }: TestServer) => directory,
};

describe.each(Object.entries(PLACES))('logs %s', (_, place) => {
  let rig: Rig;
  let part: TakenPart;
  beforeAll(async () => {
    rig = await startRig();
    const { server } = rig;
    const logs = place(server);
    await server.stop();
    if (!existsSync(logs)) mkdirSync(logs, { mode: 0o750 });
    const { uid, gid } = statSync(server.datadir);
    chownSync(logs, uid, gid);
    appendFileSync(server.defaultsFile, `log_bin=${logs}/there\nrelay_log=${logs}/relay\ntmpdir=${logs}\n`);
    await server.start();
    await loadShop(server, 1);
    await server.sql("CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=1");
    await mark(server, 'before');
    part = await takePart(rig);
    await server.sql('FLUSH BINARY LOGS');
    await mark(server, 'after');
  });
  afterAll(() => rig.server.remove());

  const binaryLogs = async (): Promise<unknown[]> => (await rig.server.sql('SHOW BINARY LOGS')).map((row) => row.Log_name);

  test('are not gone on with by restored data, which keeps logs in the same place', async () => {
    const restore = tasksOf(rig, 'restore-1');
    const logs = statSync(place(rig.server));
    await restore.stage(part);
    await restore.stop();
    await restore.doSwitch();
    await restore.start();
    expect(await markers(rig.server)).toEqual(['before']);
    expect(await binaryLogs()).toEqual(['there.000001']);
    await rig.server.sql("CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=2");
    expect(statSync(place(rig.server))).toMatchObject({ mode: logs.mode, uid: logs.uid });
    expect(readdirSync(place(rig.server))).toEqual(expect.arrayContaining(['there.000001', 'relay.000001']));
  });

  test('are back after a rollback, and nothing stays', async () => {
    const restore = tasksOf(rig, 'restore-1');
    await restore.rollback(true);
    expect(await markers(rig.server)).toEqual(['after', 'before']);
    expect((await binaryLogs()).length).toBeGreaterThan(1);
    const [replica] = await rig.server.sql('SHOW SLAVE STATUS');
    expect(replica).toMatchObject({ Master_Port: 1 });
    await restore.finish();
    for (const directory of [dirname(rig.server.datadir), place(rig.server)]) {
      expect(readdirSync(directory).filter((name) => name.includes('stillpoint'))).toEqual([]);
    }
  });
});
