import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type AgentProcess, agentProcess } from './agent-process.ts';
import { type Command, type Ended, runStillpoint, startStillpoint, stillpointOk } from './cli.ts';
import { loadShop } from './data.ts';
import { eventually } from './eventually.ts';
import { closeGate, type Gate, makePrograms, openGates } from './gates.ts';
import { freePort, startServer, sweep, type TestServer, testDirectory } from './mariadb-server.ts';
import { type Passwords, writeAgentConfig, writeClusterConfig } from './node-files.ts';
import { guardProcesses, killQuietly, ownProcesses } from './processes.ts';
import { mountSmallDisk } from './small-disk.ts';
import { startWriter, type Writer, type WriterOptions } from './writer.ts';

export interface ClusterOptions {
  /** Default 2. */
  readonly replicas?: number;
  /** Size of the data, about. Default 4. */
  readonly mebibytes?: number;
  /** Settings of the `backup` section of cluster.yaml, over the short times below. */
  readonly backup?: Readonly<Record<string, unknown>>;
  /** Lines of every server's option file. */
  readonly serverOptions?: Readonly<Record<string, string>>;
  /** A file system of its own for the node db3 or for its repository alone, which a test can fill; see `canMount`. */
  readonly smallDisk?: { readonly of: 'node' | 'repository'; readonly size: string } | undefined;
}

export interface TestNode {
  readonly name: string;
  /** Holds everything of the node. */
  readonly directory: string;
  readonly repository: string;
  /** First in the PATH of its agent. */
  readonly programs: string;
  readonly configFile: string;
  readonly server: TestServer;
  readonly agent: AgentProcess;
  readonly address: string;
  readonly agentPort: number;
  /** Makes a program of the agent wait: calls whose arguments contain `argument`. */
  gate(program: 'mariadb-backup' | 'mbstream' | 'zstd', argument: string): Gate;
  /** Makes the zstd of an image wait: mariadb-backup has begun to stream then, and stands. */
  captureGate(): Gate;
}

/** A whole cluster on this machine: db1 is the primary, the others are its GTID replicas. */
export interface TestCluster {
  readonly name: string;
  readonly directory: string;
  readonly configFile: string;
  readonly pki: string;
  readonly passwords: Passwords;
  readonly nodes: readonly TestNode[];
  readonly primary: TestNode;
  readonly replicas: readonly TestNode[];
  node(name: string): TestNode;
  /** Runs `stillpoint ... --config cluster.yaml` to its end, however it ends. */
  run(...args: string[]): Promise<Ended>;
  /** The same, for a command that must succeed. */
  ok(...args: string[]): Promise<Ended>;
  start(...args: string[]): Command;
  /** A client that writes to the primary. */
  writer(options?: Pick<WriterOptions, 'pauseMs'>): Writer;
  /** Opens every gate: one that a failed test left closed would fail the next one too. */
  openGates(): void;
  /** Waits until every replica has what the primary has now. */
  caughtUp(): Promise<void>;
  /** Ends every process and removes every file. */
  remove(): Promise<void>;
}

/** Bounds that are short enough to be waited for. `lease` is what a dead controller costs the writers. */
const SHORT_TIMES = { lockTimeout: '1s', lockAttempts: 2, lockBackoff: '500ms', lease: '3s', maxBlock: '30s' } as const;

const CLUSTER = 'shop';

/** Starts real servers, real agents and a PKI made by the product itself. */
export async function startCluster(options: ClusterOptions = {}): Promise<TestCluster> {
  guardProcesses();
  const directory = testDirectory('cluster');
  const pki = join(directory, 'pki');
  const passwords = { stillpoint: secret(), replication: secret(), app: secret() };
  const names = Array.from({ length: 1 + (options.replicas ?? 2) }, (_, index) => `db${index + 1}`);
  const [servers, grants] = await Promise.all([startServers(directory, names, options), agentGrants(), makePki(pki, names)]);
  await replicate(servers, passwords, grants);
  const [primaryServer] = servers;
  if (primaryServer === undefined) throw new Error('a cluster has a primary');
  await loadShop(primaryServer, options.mebibytes ?? 4);

  const nodes = await Promise.all(servers.map((server, index) => prepareNode(directory, pki, names[index] ?? '', server, passwords)));
  await Promise.all(nodes.map((node) => node.agent.start()));
  const configFile = writeClusterConfig({
    name: CLUSTER,
    directory,
    pki,
    nodes: nodes.map(({ name, address, agentPort }) => ({ name, address: `${address}:${agentPort}` })),
    backup: { ...SHORT_TIMES, ...options.backup },
  });
  const cluster = assemble({ directory, pki, passwords, nodes, configFile });
  await cluster.caughtUp();
  return cluster;
}

const secret = (): string => `secret-${randomBytes(9).toString('hex')}`;

async function startServers(directory: string, names: readonly string[], options: ClusterOptions): Promise<TestServer[]> {
  // 127/8 is all loopback: a network of our own for each cluster, an address for each node.
  const network = `127.${1 + Math.floor(Math.random() * 250)}.${1 + Math.floor(Math.random() * 250)}`;
  return Promise.all(
    names.map((name, index) => {
      const place = join(directory, name);
      mkdirSync(place);
      if (name === 'db3') mountDiskOf(place, options);
      return startServer({
        name,
        serverId: index + 1,
        address: `${network}.${index + 1}`,
        directory: join(place, 'server'),
        options: {
          plugin_load_add: 'metadata_lock_info',
          ...(index === 0 ? {} : { read_only: '1', slave_net_timeout: '5' }),
          ...options.serverOptions,
        },
      });
    }),
  );
}

function mountDiskOf(node: string, { smallDisk }: ClusterOptions): void {
  if (smallDisk !== undefined) mountSmallDisk(smallDisk.of === 'node' ? node : join(node, 'repository'), smallDisk.size);
}

async function makePki(pki: string, names: readonly string[]): Promise<void> {
  await stillpointOk(['pki', 'init', '--directory', pki, '--cluster', CLUSTER]);
  const issue = (role: string, name: string) => stillpointOk(['pki', 'issue', '--directory', pki, '--role', role, '--name', name]);
  await Promise.all([issue('controller', 'ops'), ...names.map((name) => issue('agent', name))]);
}

/** The SQL of the agent's account, as the product prints it. */
async function agentGrants(): Promise<readonly string[]> {
  return (await stillpointOk(['agent', 'grants'])).line<{ sql: string[] }>('grants').sql;
}

async function replicate(servers: readonly TestServer[], passwords: Passwords, grants: readonly string[]): Promise<void> {
  const [primary, ...replicas] = servers;
  if (primary === undefined) return;
  await primary.sql(`
    CREATE USER repl@'%' IDENTIFIED BY '${passwords.replication}';
    GRANT REPLICATION SLAVE ON *.* TO repl@'%';
    CREATE USER app@'%' IDENTIFIED BY '${passwords.app}';
    GRANT SELECT, INSERT, UPDATE, DELETE, LOCK TABLES ON *.* TO app@'%';
    ${grants.join('\n').replace("'<password>'", `'${passwords.stillpoint}'`)}`);
  await Promise.all(
    replicas.map((replica) =>
      replica.sql(`
        CHANGE MASTER TO MASTER_HOST='${primary.address}', MASTER_PORT=${primary.port}, MASTER_USER='repl',
          MASTER_PASSWORD='${passwords.replication}', MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1;
        START SLAVE;`),
    ),
  );
}

async function prepareNode(directory: string, pki: string, name: string, server: TestServer, passwords: Passwords): Promise<TestNode> {
  const place = join(directory, name);
  const programs = join(place, 'programs');
  makePrograms(programs);
  const { address } = server;
  const agentPort = await freePort(address);
  const configFile = writeAgentConfig({ cluster: CLUSTER, name, directory: place, pki, address, agentPort }, server, passwords);
  return {
    ...{ name, directory: place, programs, configFile, server, address, agentPort },
    repository: join(place, 'repository'),
    agent: agentProcess({ configFile, logFile: join(place, 'agent.log'), address, port: agentPort, programs }),
    gate: (program, argument) => closeGate(programs, program, argument),
    captureGate: () => closeGate(programs, 'zstd', '-T0'),
  };
}

type Pieces = Pick<TestCluster, 'directory' | 'pki' | 'passwords' | 'nodes' | 'configFile'>;

function assemble(pieces: Pieces): TestCluster {
  const { directory, passwords, nodes, configFile } = pieces;
  const node = (name: string): TestNode => {
    const found = nodes.find((one) => one.name === name);
    if (found === undefined) throw new Error(`no node ${name}`);
    return found;
  };
  const primary = node('db1');
  const replicas = nodes.slice(1);
  let writers = 0;
  const withConfig = (args: readonly string[]): string[] => [...args, '--config', configFile];
  return {
    ...pieces,
    ...{ name: CLUSTER, node, primary, replicas },
    run: (...args) => runStillpoint(withConfig(args)),
    ok: (...args) => stillpointOk(withConfig(args)),
    start: (...args) => startStillpoint(withConfig(args)),
    writer: (options) => {
      const first = 1 + 1_000_000_000 * writers++;
      return startWriter({ host: primary.address, port: primary.server.port, user: 'app', password: passwords.app, first, ...options });
    },
    openGates: () => {
      for (const { programs } of nodes) openGates(programs);
    },
    caughtUp: () => caughtUp(primary, replicas),
    remove: async () => {
      await Promise.all(nodes.map(({ agent }) => agent.kill('SIGKILL')));
      await Promise.all(nodes.map(({ server }) => server.remove()));
      for (const { pid, argv } of ownProcesses()) if (argv.some((word) => word.includes(directory))) killQuietly(pid, 'SIGKILL');
      await eventually(() => !ownProcesses().some(({ argv }) => argv.some((word) => word.includes(directory))));
      sweep(directory);
    },
  };
}

async function caughtUp(primary: TestNode, replicas: readonly TestNode[]): Promise<void> {
  const position = String((await primary.server.sql('SELECT @@gtid_binlog_pos AS position'))[0]?.position);
  await Promise.all(
    replicas.map(async ({ name, server }) => {
      const [row] = await server.sql(`SELECT MASTER_GTID_WAIT('${position}', 60) AS waited`);
      if (Number(row?.waited) !== 0) throw new Error(`${name} did not reach ${position}`);
    }),
  );
}
