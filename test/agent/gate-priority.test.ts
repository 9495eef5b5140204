import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { getPriority } from 'node:os';
import { create } from '@bufbuild/protobuf';
import { IoClass, PrecopyStorage, PrecopyTaskSchema, ServerStrategy } from '@stillpoint/shared/proto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { precopyTask } from '../../packages/agent/src/capture/index.ts';
import { mayComeBack } from '../../packages/agent/src/priority/come-back.ts';
import { eventually } from '../harness/eventually.ts';
import { ionice } from '../harness/ionice.ts';
import { startServer, type TestServer } from '../harness/mariadb-server.ts';
import { descendants, guardProcesses } from '../harness/processes.ts';
import { atGate, capture, publish, SHOP } from './gate-rig.ts';
import { OPERATION, SET, type TestNode, testNode, testTask } from './node.ts';

const OWN = getPriority();
const BACK = OWN + 6;
const obstacle = (await mayComeBack()) ? undefined : 'this user may not take a priority back';

let server: TestServer;
let node: TestNode;
beforeAll(async () => {
  guardProcesses();
  server = await startServer({ name: 'back' });
  await server.sql(SHOP);
  node = testNode(server);
});
afterAll(async () => {
  await node?.agent.captures.forget(OPERATION);
  if (node !== undefined) execFileSync('rm', ['-rf', node.repository]);
  await server?.remove();
});

const tools = (): number[] => descendants(process.pid, /^(?:\S*\/)?(?:mariadb-backup --defaults|zstd -q)/).map(({ pid }) => pid);

/** Niceness and class of every thread of the tools, each once. */
const standings = (): string[] => {
  const threads = tools().flatMap((pid) => readdirSync(`/proc/${pid}/task`).map(Number));
  return [...new Set(threads.map((thread) => `${getPriority(thread)} ${ionice(thread)}`))];
};

test('mariadb-backup and zstd step back while they copy, and have their priority again before a lock is asked for', async ({ skip }) => {
  skip(obstacle !== undefined, obstacle);
  const own = `${OWN} ${ionice(process.pid)}`;
  const options = { server: ServerStrategy.GATE, priority: { nice: BACK, ioClass: IoClass.IDLE } };
  let isOver = false;
  const precopying = precopyTask
    .run(node.agent, create(PrecopyTaskSchema, { setId: SET, options, storage: PrecopyStorage.SERVER }), testTask('precopy-1'))
    .finally(() => {
      isOver = true;
    });
  precopying.catch(() => undefined);
  await eventually(() => isOver || tools().some((pid) => getPriority(pid) === BACK));
  expect(isOver).toBe(false);
  await precopying;
  expect(tools()).toHaveLength(2);
  expect(standings()).toEqual([own]);
  expect(await atGate(server)).toHaveLength(1);
  const hold = await node.hold();
  await capture(node);
  await hold.release();
  expect((await publish(node)).mariadb?.position.file).toBe(hold.position?.file);
  await hold.snapshots?.close();
});
