import { execFileSync } from 'node:child_process';
import { systemClock } from '@stillpoint/shared/time';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { openSecondLock } from '../../packages/agent/src/mariadb/second-lock.ts';
import { eventually } from '../harness/eventually.ts';
import { startServer, type TestServer } from '../harness/mariadb-server.ts';
import { guardProcesses } from '../harness/processes.ts';
import { capture, precopy, publish, restored, SHOP, startLoad, tablesOf } from './gate-rig.ts';
import { OPERATION, type TestNode, testNode } from './node.ts';

let primary: TestServer;
let replica: TestServer;
let node: TestNode;

beforeAll(async () => {
  guardProcesses();
  primary = await startServer({ name: 'primary' });
  const parallel = { slave_parallel_threads: '4', slave_parallel_mode: 'optimistic', read_only: '1' };
  replica = await startServer({ name: 'replica', serverId: 2, options: parallel });
  await primary.sql(`CREATE USER repl@'%' IDENTIFIED BY 'r'; GRANT REPLICATION SLAVE ON *.* TO repl@'%'; ${SHOP}`);
  await replica.sql(`CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=${primary.port}, MASTER_USER='repl', MASTER_PASSWORD='r',
    MASTER_USE_GTID=slave_pos; START SLAVE`);
  await eventually(async () => (await replica.sql("SELECT 1 FROM information_schema.tables WHERE table_name = 'gate'")).length > 0);
  node = testNode(replica);
});
afterEach(async () => {
  await node.agent.captures.forget(OPERATION);
  execFileSync('rm', ['-rf', node.repository]);
});
afterAll(async () => {
  await replica?.remove();
  await primary?.remove();
});

test('a replica that replicates in parallel is captured as it stands under the lock, and the copy of it boots', async () => {
  const stop = await startLoad(primary, ['ticks', 'ticks', 'labels', 'ticks', 'ticks']);
  await precopy(node);
  const hold = await node.hold();
  const cut = await tablesOf(replica);
  await capture(node);
  await hold.release();
  expect((await publish(node)).mariadb?.position.gtidSlavePos).toBe(hold.position?.gtidSlavePos);
  await stop();
  const copy = await restored(node, replica);
  expect(await tablesOf(copy)).toEqual(cut);
  const [position] = await copy.sql('SELECT @@gtid_slave_pos AS gtid');
  expect(position?.gtid).toBe(hold.position?.gtidSlavePos);
  await copy.remove();
});

test('a second read lock, as a guardian holds it, goes together with what passes the gate', async () => {
  node = testNode(primary);
  const second = await openSecondLock({ socket: primary.socket, user: 'root' }, 10_000, systemClock, new AbortController().signal);
  const stop = await startLoad(primary);
  await precopy(node);
  const hold = await node.hold();
  expect(await second.take(2_000)).toBe(true);
  const cut = await tablesOf(primary);
  await capture(node);
  await hold.release();
  expect(await tablesOf(primary)).toEqual(cut);
  await second.release();
  await publish(node);
  await stop();
  const copy = await restored(node, primary);
  expect(await tablesOf(copy)).toEqual(cut);
  await copy.remove();
});
