import { join } from 'node:path';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import { AgentService, type ProveEngineResult, type TaskResult, TaskSpecSchema } from '@stillpoint/shared/proto';
import { type Connection, createClient } from '@stillpoint/shared/rpc';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startAgents } from './harness/agents.ts';
import { type ColumnstoreCluster, startColumnstoreCluster } from './harness/cluster.ts';
import { makeShop } from './harness/shop.ts';

const OPERATION = 'restore-1';
const PORT = 7443;
const NODES = ['pm1', 'pm2'] as const;
type Node = (typeof NODES)[number];

let cluster: ColumnstoreCluster;
const connections = new Map<Node, Connection<typeof AgentService>>();
let tasks = 0;

const TYPES = `a INT, b BIGINT UNSIGNED, c TINYINT, d DECIMAL(38,5), e DOUBLE, f FLOAT, g DATE, h DATETIME(6), i TIMESTAMP, j TIME,
  k CHAR(5), l VARCHAR(200), m TEXT, n BLOB`;
const VALUES =
  "-1, 18446744073709551610, 3, -4.5, 1.1, 2.2, '2026-01-02', '2026-01-02 03:04:05.123456', '2026-01-02', '-11:12:13', 'Ä', 'ünï', 'text'";

beforeAll(async () => {
  cluster = await startColumnstoreCluster({ nodes: 2 });
  await makeShop(cluster, 3_000);
  await cluster.primary.sql(`CREATE TABLE shop.types (${TYPES}) ENGINE=ColumnStore`);
  await cluster.primary.sql(`INSERT INTO shop.types VALUES (${VALUES}, 'blob'), (${VALUES}, NULL)`);
  await cluster.caughtUp();
  await startAgents(cluster);
  const pki = join(cluster.directory, 'pki');
  const tls = { ca: join(pki, 'ca.crt'), cert: join(pki, 'ops.crt'), key: join(pki, 'ops.key') };
  for (const node of NODES) {
    const target = { node, address: `${cluster.node(node).address}:${PORT}` };
    const connection = createClient(AgentService, target, { tls, cluster: 'columnstore' });
    connections.set(node, connection);
    await connection.client.claimNode({ operationId: OPERATION, kind: 'restore', owner: 'test', ttl: durationFromMs(600_000) });
  }
});
afterAll(async () => {
  for (const { close } of connections.values()) close();
  await cluster?.remove();
});

type Spec = NonNullable<MessageInitShape<typeof TaskSpecSchema>['task']>;

/** Runs a task on a node. Gives its result; throws what it failed with. */
async function run(node: Node, task: Spec): Promise<TaskResult['result']['value']> {
  const client = connections.get(node)?.client;
  if (client === undefined) throw new Error(`no connection to ${node}`);
  tasks += 1;
  const taskId = `task-${tasks}`;
  await client.startTask({ operationId: OPERATION, taskId, spec: create(TaskSpecSchema, { task }) });
  for await (const { event } of client.watchTask({ operationId: OPERATION, taskId })) {
    if (event.case !== 'ended') continue;
    if (event.value.error !== undefined) throw Object.assign(new Error(event.value.error.message), { code: event.value.error.code });
    return event.value.result?.result.value;
  }
  throw new Error(`task ${taskId} never ended`);
}

const prove = async (node: Node, ms = 60_000): Promise<ProveEngineResult> =>
  (await run(node, { case: 'proveEngine', value: { timeout: durationFromMs(ms) } })) as ProveEngineResult;
const digests = ({ tables }: ProveEngineResult): Record<string, string> =>
  Object.fromEntries(tables.map(({ database, table, rows, digest }) => [`${database}.${table}`, `${rows} ${digest}`]));

const STAGES: Readonly<Record<Node, readonly number[]>> = { pm1: [1, 2, 3, 4, 5, 6, 7], pm2: [1, 3, 4, 5] };
async function onStages(stages: readonly number[], task: (stage: number) => Spec): Promise<void> {
  for (const stage of stages) await Promise.all(NODES.filter((node) => STAGES[node].includes(stage)).map((node) => run(node, task(stage))));
}
const start = () =>
  onStages([1, 2, 3, 4, 5, 6, 7], (stage) => ({ case: 'startEngine', value: { stage, timeout: durationFromMs(60_000) } }));
const stop = () => onStages([7, 6, 5, 4, 3, 2, 1], (stage) => ({ case: 'stopEngine', value: { stage, last: stage === 1 } }));
const loadOwn = () => run('pm1', { case: 'loadBrm', value: {} });
async function loadFetched(): Promise<void> {
  const granted = await connections.get('pm1')?.client.grantSeed({ operationId: OPERATION, brm: true, validFor: durationFromMs(60_000) });
  const primary = { address: `${cluster.primary.address}:${PORT}`, ticket: granted?.ticket ?? '' };
  await run('pm2', { case: 'loadBrm', value: { primaryNode: 'pm1', primary } });
}
const sharedMemory = () => Promise.all(cluster.nodes.map((node) => node.sh('ls /dev/shm | grep -c MCS-shm || true')));

let before: Record<string, string>;

test('a table is read whole by every server, whatever its types, and all see the same', async () => {
  const [first, second] = await Promise.all(NODES.map((node) => prove(node)));
  if (first === undefined || second === undefined) throw new Error('there are two nodes');
  expect(first.tables.map(({ table, rows }) => `${table} ${rows}`)).toEqual(
    expect.arrayContaining(['sales 3000', 'returns 100', 'types 2', 'ticks 0']),
  );
  expect(digests(second)).toEqual(digests(first));
  expect(first.locks).toEqual([]);
  const was = digests(first);
  await cluster.primary.sql('UPDATE shop.sales SET amount = amount + 1 WHERE id = 77');
  await cluster.primary.sql(`INSERT INTO shop.types VALUES (${VALUES}, 'another blob')`);
  before = digests(await prove('pm2'));
  expect(before['shop.sales']).not.toBe(was['shop.sales']);
  expect(before['shop.types']).not.toBe(was['shop.types']);
  expect(before['shop.returns']).toBe(was['shop.returns']);
});

test('an engine that runs is neither loaded nor its block resolution manager handed out', async () => {
  await expect(loadOwn()).rejects.toMatchObject({ code: 'ENGINE_RUNNING', message: expect.stringContaining('controllernode') });
  await expect(loadFetched()).rejects.toMatchObject({ code: 'ENGINE_RUNNING' });
});

test('stopped in order it leaves no process and no shared memory; with a node unloaded it says that it is ready, and the proof fails', async () => {
  await stop();
  expect(await sharedMemory()).toEqual(['0\n', '0\n']);
  await loadOwn();
  await start();
  expect(await cluster.status()).toBe('OK. (and the system is ready)');
  await expect(prove('pm1', 3_000)).rejects.toMatchObject({
    code: 'ENGINE_PROOF_FAILED',
    message: expect.stringMatching(/shop\.\w+.*MCS-2031/),
  });
  await expect(prove('pm2', 3_000)).rejects.toMatchObject({
    code: 'ENGINE_PROOF_FAILED',
    message: expect.stringMatching(/shop\.\w+.*MCS-2006/),
  });
});

test('killed, and started on what every node has loaded, it reads what it read before', async () => {
  for (const node of cluster.nodes)
    await node.sh('kill -9 $(pgrep -x "workernode|controllernode|PrimProc|WriteEngineServ|ExeMgr|DMLProc|DDLProc")');
  await stop();
  expect(await sharedMemory()).toEqual(['0\n', '0\n']);
  await loadOwn();
  await loadFetched();
  await start();
  for (const node of NODES) expect(digests(await prove(node)), node).toEqual(before);
  await cluster.primary.sql('UPDATE shop.sales SET amount = amount + 1 WHERE id = 78');
  expect(await cluster.locks()).toBe('');
});
