import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TlsSetting } from '@stillpoint/shared/config';
import { StillpointError } from '@stillpoint/shared/errors';
import { systemClock } from '@stillpoint/shared/time';
import { type ClusterConfig, clusterConfigSchema } from '../../packages/controller/src/config/schema.ts';
import type { Controller, OperationEvent, RunOptions } from '../../packages/controller/src/index.ts';
import { openController } from '../../packages/controller/src/index.ts';
import { type TestAuthority, testAuthority } from '../harness/certificates.ts';
import type { DbrootMap } from './engine-builders.ts';
import { type FakeAgent, startAgent } from './fake-agent.ts';
import { type FakeEngine, fakeEngine, fakeModule } from './fake-engine.ts';
import { type FakeNode, fakeNode } from './fake-node.ts';
import { type Fetch, ownPart } from './fake-work.ts';
import { faults } from './faults.ts';
import { type Network, network } from './network.ts';

const CLUSTER = 'shop';

/** Certificates for the nodes of fake clusters; issued once for a file of tests. */
export interface Identities {
  readonly controller: TlsSetting;
  readonly agents: ReadonlyMap<string, TlsSetting>;
  remove(): void;
}

export async function identities(nodes: readonly string[] = ['db1', 'db2', 'db3']): Promise<Identities> {
  const authority: TestAuthority = await testAuthority(CLUSTER);
  const agents = await Promise.all(nodes.map(async (node) => [node, await authority.issue('agent', node)] as const));
  return { controller: await authority.issue('controller', 'admin'), agents: new Map(agents), remove: authority.remove };
}

/** A node, the agent on it, and the network to it. */
export interface FakeMember extends FakeNode {
  readonly network: Network;
  /** Kills the agent; the node stays as it is. */
  killAgent(): Promise<void>;
  startAgent(): Promise<void>;
}

/** A cluster of fake nodes: db1 is the primary, the others replicate from it. */
export interface FakeCluster {
  readonly nodes: readonly FakeMember[];
  node(name: string): FakeMember;
  readonly config: ClusterConfig;
  readonly controller: Controller;
  /** Closes the controller and opens another one on the same state. */
  reopen(): Promise<Controller>;
  remove(): Promise<void>;
}

/** Bounds short enough for tests, and long enough for a busy machine. */
const BACKUP = { lockTimeout: '2s', lockAttempts: 2, lockBackoff: '20ms', lease: '4s', maxBlock: '30s' };

/** With a map, the cluster has an engine: dbN is pmN, and a node that owns no dbroot is no module of it. */
export async function fakeCluster(ids: Identities, map?: DbrootMap, backup: object = {}): Promise<FakeCluster> {
  const stateDir = mkdtempSync(join(tmpdir(), 'stillpoint-fake-'));
  const members: FakeMember[] = [];
  const engine = map === undefined ? undefined : fakeEngine(map);
  const seederOf = (address: string, ticket: string): FakeMember => {
    const seeder = members.find((each) => each.network.address === address);
    if (seeder === undefined || seeder.name !== ticket.split('/')[2]) {
      throw new StillpointError('TICKET_REFUSED', `nobody at ${address} knows ${ticket}`);
    }
    return seeder;
  };
  const fetch: Fetch = {
    part: async (address, ticket) => ownPart(seederOf(address, ticket), ticket.split('/')[1] ?? ''),
    brm: async (address, ticket) => seederOf(address, ticket).engine?.dbroots.get(1) ?? '',
  };
  for (const name of ids.agents.keys()) members.push(await fakeMember(name, ids, members[0], fetch, engine));
  const config = clusterConfigSchema.parse({
    cluster: CLUSTER,
    stateDir,
    tls: ids.controller,
    nodes: members.map(({ name, network: { address } }) => ({ name, address })),
    backup: { ...BACKUP, ...backup },
  });
  let controller = openController({ config, clock: systemClock });
  return {
    nodes: members,
    node: (name) => {
      const found = members.find((each) => each.name === name);
      if (found === undefined) throw new Error(`no node ${name}`);
      return found;
    },
    config,
    get controller() {
      return controller;
    },
    reopen: async () => {
      await controller.close();
      controller = openController({ config, clock: systemClock });
      return controller;
    },
    remove: async () => {
      await controller.close();
      await Promise.all(members.map((each) => each.killAgent()));
      await Promise.all(members.map((each) => each.network.close()));
      rmSync(stateDir, { recursive: true, force: true });
    },
  };
}

async function fakeMember(
  name: string,
  ids: Identities,
  primary: FakeNode | undefined,
  fetch: Fetch,
  engine: FakeEngine | undefined,
): Promise<FakeMember> {
  const tls = ids.agents.get(name);
  if (tls === undefined) throw new Error(`no certificate for ${name}`);
  const node = fakeNode(name, faults(), primary, engine === undefined ? undefined : fakeModule(name, engine));
  let agent: FakeAgent | undefined = await startAgent(node, tls, CLUSTER, fetch);
  return Object.assign(node, {
    network: await network(() => agent?.port ?? 1),
    killAgent: async () => {
      const dying = agent;
      agent = undefined;
      await dying?.kill();
    },
    startAgent: async () => {
      agent = await startAgent(node, tls, CLUSTER, fetch);
    },
  });
}

/** What an operation failed with. */
export async function failure(work: Promise<unknown>): Promise<StillpointError> {
  const thrown: unknown = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (thrown instanceof StillpointError) return thrown;
  throw new Error('did not fail with a StillpointError', { cause: thrown });
}

/** A run that is watched, and can be aborted as by SIGINT. */
export interface WatchedRun extends RunOptions {
  readonly events: OperationEvent[];
  abort(): void;
  /** Resolves when an event was seen for which `matches` holds. */
  until(matches: (event: OperationEvent) => boolean): Promise<void>;
}

export function watchedRun(): WatchedRun {
  const events: OperationEvent[] = [];
  const waiting: { matches: (event: OperationEvent) => boolean; resolve: () => void }[] = [];
  const stop = new AbortController();
  return {
    events,
    signal: stop.signal,
    abort: () => stop.abort(new StillpointError('CANCELLED', 'interrupted by SIGINT')),
    observe: (event) => {
      events.push(event);
      for (const { matches, resolve } of waiting) if (matches(event)) resolve();
    },
    until: (matches) => (events.some(matches) ? Promise.resolve() : new Promise((resolve) => waiting.push({ matches, resolve }))),
  };
}
