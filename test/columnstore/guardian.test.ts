import { join } from 'node:path';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import { AgentService, HoldPhase } from '@stillpoint/shared/proto';
import { type Connection, createClient } from '@stillpoint/shared/rpc';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { acquire, advance, type HoldTalk, RELEASE, RENEW, talkAbout } from '../agent-core/hold-talk.ts';
import { operation } from '../agent-core/node.ts';
import { eventually } from '../harness/eventually.ts';
import type { Writer } from '../harness/writer.ts';
import { type Agents, startAgents } from './harness/agents.ts';
import { type ColumnstoreCluster, type ColumnstoreNode, startColumnstoreCluster } from './harness/cluster.ts';
import { makeShop, numbers, startShopWriter } from './harness/shop.ts';

const LEASE_MS = 5_000;

let cluster: ColumnstoreCluster;
let agents: Agents;
let connections: Map<string, Connection<typeof AgentService>>;
/** Clients that insert into ColumnStore tables, through the primary and through another node. */
let writers: readonly Writer[];
let op: string;
let first = 0;

beforeAll(async () => {
  cluster = await startColumnstoreCluster({ nodes: 3 });
  await makeShop(cluster, 3_000);
  agents = await startAgents(cluster);
});
beforeEach(async () => {
  await Promise.all(cluster.nodes.map(({ name }) => agents.agent(name).start()));
  connections = new Map(cluster.nodes.map((node) => [node.name, connect(node)]));
  op = operation();
  const claim = { operationId: op, kind: 'backup', owner: 'tester', ttl: durationFromMs(120_000) };
  await Promise.all([...connections.values()].map(({ client }) => client.claimNode(claim)));
  first += 1_000_000;
  const [pm1, pm2] = cluster.nodes;
  if (pm1 === undefined || pm2 === undefined) throw new Error('three nodes');
  writers = [startShopWriter(pm1, 'ticks', first), startShopWriter(pm2, 'ticks_elsewhere', first)];
});
afterEach(async () => {
  await Promise.all(writers.map((writer) => writer.stop()));
  for (const { name } of cluster.nodes) await agents.agent(name).kill('SIGCONT');
  for (const { name } of cluster.nodes) await agents.agent(name).start();
  await Promise.all(cluster.nodes.map((node) => connect(node).client.releaseNode({ operationId: op })));
  for (const connection of connections.values()) connection.close();
});
afterAll(() => cluster?.remove());

function connect({ name, address }: ColumnstoreNode): Connection<typeof AgentService> {
  const at = (file: string): string => join(cluster.directory, 'pki', file);
  const tls = { ca: at('ca.crt'), cert: at('ops.crt'), key: at('ops.key') };
  return createClient(AgentService, { node: name, address: `${address}:7443` }, { tls, cluster: 'columnstore' });
}

const connected = (name: string): Connection<typeof AgentService> => {
  const found = connections.get(name);
  if (found === undefined) throw new Error(`no connection to ${name}`);
  return found;
};

/** Holds of all nodes under which the engine is read-only and both writers wait: what the controller does, by hand. */
interface Stand {
  readonly talks: ReadonlyMap<string, HoldTalk>;
  /** What each writer saw since. */
  readonly windows: readonly (() => { readonly errors: readonly string[] })[];
  /** The controller says nothing more. */
  fallSilent(): void;
}

async function standStill(): Promise<Stand> {
  await eventually(() => writers.every((writer) => writer.written > 2), 60_000);
  const windows = writers.map((writer) => writer.window());
  const talks = new Map(cluster.nodes.map(({ name }) => [name, talkAbout(connected(name).client, acquire(op, { leaseMs: LEASE_MS }))]));
  const all = [...talks.values()];
  const renewing = setInterval(() => {
    for (const talk of all) talk.say(RENEW);
  }, 500);
  const fallSilent = (): void => clearInterval(renewing);
  const reach = async (phase: HoldPhase, on: readonly HoldTalk[]): Promise<void> => {
    for (const talk of on) talk.say(advance(phase));
    await Promise.all(on.map((talk) => talk.hear('advanced')));
  };
  try {
    await Promise.all(all.map((talk) => talk.hear('acquired')));
    const [primary, ...others] = all;
    if (primary === undefined) throw new Error('three nodes');
    await reach(HoldPhase.DRAIN, all);
    await reach(HoldPhase.SUSPEND, [primary]);
    await reach(HoldPhase.SUSPEND, others);
    await reach(HoldPhase.FLUSH, [primary]);
    expect(await cluster.status()).toContain('DBRM is currently Read Only!');
    for (const node of cluster.nodes.slice(0, 2)) await eventually(() => isStalled(node));
  } catch (error) {
    fallSilent();
    throw error;
  }
  return { talks, windows, fallSilent };
}

const isStalled = async (node: ColumnstoreNode): Promise<boolean> =>
  (await node.sql("SELECT 1 FROM information_schema.processlist WHERE state = 'Waiting for backup lock'")).length > 0;

const guardiansOf = async (node: ColumnstoreNode): Promise<readonly number[]> => {
  const { stdout } = await node.run(`grep -al 'guardian/main' /proc/[0-9]*/cmdline | grep -v self`);
  const pids = stdout.split('\n').flatMap((line) => /^\/proc\/(\d+)\//.exec(line)?.[1] ?? []);
  // The shell and the grep that ask have that word among their own arguments.
  const names = await Promise.all(pids.map(async (pid) => [pid, (await node.run(`cat /proc/${pid}/comm`)).stdout.trim()] as const));
  return names.filter(([, name]) => name === 'node' || name === 'MainThread').map(([pid]) => Number(pid));
};

/** What must be true in the end, whatever has happened: the clients have seen a wait and nothing else. */
async function everythingIsUndone({ windows }: Stand): Promise<void> {
  const before = writers.map(({ written }) => written);
  const goOn = (): boolean => writers.every(({ written }, index) => written > (before[index] ?? 0) + 3);
  await eventually(goOn, 60_000).catch(async (cause: unknown) => {
    throw new Error(`writers do not go on:\n${await everythingKnown(windows)}`, { cause });
  });
  await Promise.all(writers.map((writer) => writer.pause()));
  for (const window of windows) expect(window().errors).toEqual([]);
  expect(await cluster.status()).toBe('OK. (and the system is ready)');
  expect(await cluster.locks()).toBe('');
  for (const [index, table] of (['ticks', 'ticks_elsewhere'] as const).entries()) {
    const there = (await numbers(cluster.primary, table)).filter((n) => n >= first);
    expect(there.length).toBe(writers[index]?.written);
  }
  for (const node of cluster.nodes) await eventually(async () => (await guardiansOf(node)).length === 0);
}

/** What whoever looks for the reason of a failure needs, of nodes that are gone by then. */
async function everythingKnown(windows: Stand['windows']): Promise<string> {
  const nodes = cluster.nodes.map(async (node) => [
    node.name,
    ...(await node.sql('SELECT id, user, state, time, info FROM information_schema.processlist')).map((row) => JSON.stringify(row)),
    agents.agent(node.name).log(),
    (await node.run('tail -20 /var/log/messages')).stdout,
  ]);
  const errors = windows.flatMap((window) => window().errors);
  return [...errors, await cluster.status(), await cluster.locks(), ...(await Promise.all(nodes)).flat()].join('\n');
}

const talkOf = ({ talks }: Stand, name: string): HoldTalk => {
  const found = talks.get(name);
  if (found === undefined) throw new Error(`no hold of ${name}`);
  return found;
};

/** As the controller does when a hold is lost: it lets all others go at once. */
function releaseOthers(stand: Stand, lost: string): void {
  stand.fallSilent();
  for (const [name, talk] of stand.talks) if (name !== lost) talk.say(RELEASE);
}

test('released as asked, all at once', async () => {
  const stand = await standStill();
  releaseOthers(stand, '');
  for (const talk of stand.talks.values()) await talk.hear('released');
  await everythingIsUndone(stand);
});

test.each(['pm1', 'pm2'])('the agent of %s is killed', async (name) => {
  const stand = await standStill();
  await agents.agent(name).kill('SIGKILL');
  releaseOthers(stand, name);
  await everythingIsUndone(stand);
});

test('the agent of the primary is killed, and the controller with it', async () => {
  const stand = await standStill();
  stand.fallSilent();
  await agents.agent('pm1').kill('SIGKILL');
  await everythingIsUndone(stand);
});

test('the agent of the primary is frozen for longer than its lease', async () => {
  const stand = await standStill();
  await agents.agent('pm1').kill('SIGSTOP');
  releaseOthers(stand, 'pm1');
  await everythingIsUndone(stand);
});

test('the agent of the primary is stopped', async () => {
  const stand = await standStill();
  await agents.agent('pm1').kill('SIGTERM');
  releaseOthers(stand, 'pm1');
  await everythingIsUndone(stand);
});

test('the guardian of the primary is killed', async () => {
  const stand = await standStill();
  const [guardian] = await guardiansOf(cluster.primary);
  await cluster.primary.sh(`kill -9 ${guardian}`);
  expect(await talkOf(stand, 'pm1').hear('failed')).toMatchObject({ code: 'HOLD_LOST', message: expect.stringContaining('guardian') });
  releaseOthers(stand, 'pm1');
  await everythingIsUndone(stand);
});

test('the controller falls silent: every lease runs out at about the same time', async () => {
  const stand = await standStill();
  stand.fallSilent();
  for (const talk of stand.talks.values()) expect(await talk.hear('failed')).toMatchObject({ code: 'LEASE_EXPIRED' });
  await everythingIsUndone(stand);
});
