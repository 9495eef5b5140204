import { randomBytes } from 'node:crypto';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, type Ended, runStillpoint, startStillpoint, stillpointOk } from '../../harness/cli.ts';
import { closeGate, type Gate, makePrograms, openGates } from '../../harness/gates.ts';
import { writeClusterConfig } from '../../harness/node-files.ts';
import type { ColumnstoreCluster, ColumnstoreNode } from './cluster.ts';
import { type EngineAgent, engineAgent } from './engine-agent.ts';
import { REPLICATION } from './lifecycle.ts';

export interface AgentsOptions {
  /** Settings of the `backup` section of cluster.yaml, over the short times below. */
  readonly backup?: Readonly<Record<string, unknown>>;
  /** Settings of the `columnstore` section of every agent.yaml. */
  readonly columnstore?: Readonly<Record<string, unknown>>;
}

/** Programs that a test can make wait; see `gate`. */
const PROGRAMS = ['mariadb-backup', 'mbstream', 'zstd', 'dbrmctl', 'viewtablelock', 'save_brm', 'load_brm', 'clearShm'] as const;

/** Stillpoint on a cluster of real engines: an agent in each node, the command line on this machine. */
export interface Agents {
  readonly configFile: string;
  agent(node: string): EngineAgent;
  repository(node: string): string;
  /** Makes a program of an agent wait: calls whose arguments contain `argument`. */
  gate(node: string, program: (typeof PROGRAMS)[number], argument?: string): Gate;
  openGates(): void;
  /** Runs `stillpoint ... --config cluster.yaml` to its end, however it ends. */
  run(...args: string[]): Promise<Ended>;
  /** The same, for a command that must succeed. */
  ok(...args: string[]): Promise<Ended>;
  start(...args: string[]): Command;
}

/** Bounds that are short enough to be waited for. `lease` is what a dead controller costs the writers. */
const SHORT_TIMES = { lockTimeout: '2s', lockAttempts: 2, lockBackoff: '500ms', lease: '4s', maxBlock: '60s' } as const;

const CLUSTER = 'columnstore';
const PORT = 7443;
const ENGINE = '/usr/local/sbin/engine';

/** Makes the account, certificates and configurations, and starts an agent in every node. */
export async function startAgents(cluster: ColumnstoreCluster, options: AgentsOptions = {}): Promise<Agents> {
  const pki = join(cluster.directory, 'pki');
  const password = `secret-${randomBytes(9).toString('hex')}`;
  await Promise.all([makeAccount(cluster, password), makePki(pki, cluster.nodes)]);
  const agents = new Map(cluster.nodes.map((node) => [node.name, prepareAgent(node, pki, password, options)]));
  await Promise.all([...agents.values()].map((agent) => agent.start()));
  const configFile = writeClusterConfig({
    name: CLUSTER,
    directory: cluster.directory,
    pki,
    nodes: cluster.nodes.map(({ name, address }) => ({ name, address: `${address}:${PORT}` })),
    backup: { ...SHORT_TIMES, ...options.backup },
  });
  const withConfig = (args: readonly string[]): string[] => [...args, '--config', configFile];
  return {
    configFile,
    agent: (name) => {
      const found = agents.get(name);
      if (found === undefined) throw new Error(`no agent on ${name}`);
      return found;
    },
    repository: (name) => at(cluster.node(name)).repository,
    gate: (name, program, argument = '') => closeGate(at(cluster.node(name)).programs, program, argument),
    openGates: () => {
      for (const node of cluster.nodes) openGates(at(node).programs);
    },
    run: (...args) => runStillpoint(withConfig(args)),
    ok: (...args) => stillpointOk(withConfig(args)),
    start: (...args) => startStillpoint(withConfig(args)),
  };
}

/** Places of a node that have the same path inside and outside. */
const at = ({ directory }: { readonly directory: string }) => ({
  programs: join(directory, 'programs'),
  repository: join(directory, 'repository'),
  state: join(directory, 'agent-state'),
  tls: join(directory, 'tls'),
  configFile: join(directory, 'agent.yaml'),
});

/** The database account, by the SQL that the product prints; the other nodes replicate it. */
async function makeAccount(cluster: ColumnstoreCluster, password: string): Promise<void> {
  const { sql } = (await stillpointOk(['agent', 'grants'])).line<{ sql: string[] }>('grants');
  await cluster.primary.sql(...sql.map((statement) => statement.replace("'<password>'", `'${password}'`)));
  await cluster.caughtUp();
}

async function makePki(pki: string, nodes: readonly ColumnstoreNode[]): Promise<void> {
  await stillpointOk(['pki', 'init', '--directory', pki, '--cluster', CLUSTER]);
  const issue = (role: string, name: string) => stillpointOk(['pki', 'issue', '--directory', pki, '--role', role, '--name', name]);
  await Promise.all([issue('controller', 'ops'), ...nodes.map(({ name }) => issue('agent', name))]);
}

function prepareAgent(node: ColumnstoreNode, pki: string, password: string, options: AgentsOptions): EngineAgent {
  const place = at(node);
  const { name, directory } = node;
  for (const needed of [place.tls, place.repository]) mkdirSync(needed, { recursive: true });
  const tls = { ca: 'ca.crt', cert: `${name}.crt`, key: `${name}.key` };
  for (const file of Object.values(tls)) cpSync(join(pki, file), join(place.tls, file));
  makePrograms(place.programs, Object.fromEntries(PROGRAMS.map((program) => [program, `/usr/bin/${program}`])));
  const secret = (account: string, word: string): string => {
    const file = join(directory, `${account}.password`);
    writeFileSync(file, `${word}\n`, { mode: 0o600 });
    return file;
  };
  const service = (...process: string[]) => ({
    driver: 'commands',
    start: [ENGINE, 'start', ...process],
    stop: [ENGINE, 'stop', ...process],
  });
  const config = {
    cluster: CLUSTER,
    node: name,
    listen: `${node.address}:${PORT}`,
    stateDir: place.state,
    repository: place.repository,
    tls: Object.fromEntries(Object.entries(tls).map(([key, file]) => [key, join(place.tls, file)])),
    mariadb: {
      defaultsFile: '/etc/my.cnf',
      socket: '/run/mysqld/mysqld.sock',
      user: 'stillpoint',
      passwordFile: secret('stillpoint', password),
      service: service('mariadbd'),
      replication: { user: REPLICATION.user, passwordFile: secret('replication', REPLICATION.password) },
    },
    columnstore: {
      config: '/etc/columnstore/Columnstore.xml',
      dataDirectory: '/var/lib/columnstore',
      suspend: 'auto',
      service: service(),
      ...options.columnstore,
    },
    configuration: ['/etc/my.cnf'],
  };
  writeFileSync(place.configFile, JSON.stringify(config, null, 2));
  return engineAgent(node, PORT, place.configFile, place.programs);
}
