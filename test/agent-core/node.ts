import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { newOperationId, newSetId, type OperationKind } from '@stillpoint/shared/operation';
import { AgentService } from '@stillpoint/shared/proto';
import { type Client, type Connection, createClient } from '@stillpoint/shared/rpc';
import { grantsSql } from '../../packages/agent/src/index.ts';
import { type AgentProcess, agentProcess } from '../harness/agent-process.ts';
import { type TestAuthority, testAuthority } from '../harness/certificates.ts';
import { loadShop } from '../harness/data.ts';
import { closeGate, type Gate, makePrograms } from '../harness/gates.ts';
import { freePort, startServer, type TestServer, testDirectory } from '../harness/mariadb-server.ts';
import { writeAgentConfig } from '../harness/node-files.ts';
import { guardProcesses } from '../harness/processes.ts';
import { startWriter, type Writer } from '../harness/writer.ts';

/** An agent behind its protocol, as its controller sees it. */
export type AgentClient = Client<typeof AgentService>;

/** A real agent in a process of its own, with the certificates to talk to it. */
export interface TestAgent {
  readonly process: AgentProcess;
  readonly address: string;
  readonly configFile: string;
  readonly stateDir: string;
  readonly repository: string;
  /** A connection with a controller's certificate; all are closed with the agent. */
  connect(): Connection<typeof AgentService>;
  /** The same with the certificate of another node's agent. */
  connectAsAgent(): Connection<typeof AgentService>;
  /** Lines of an operation's journal on disk. */
  journal(operationId: string): readonly { readonly type: string }[];
  /** Makes a program of the agent wait: calls whose arguments contain `argument`. */
  gate(program: 'mariadb-backup' | 'zstd', argument: string): Gate;
}

/** A node with a server, and a client that writes to it. */
export interface TestNode extends TestAgent {
  readonly server: TestServer;
  writer(): Writer;
  /** Sessions of the agent on the server. */
  sessions(): Promise<number>;
  remove(): Promise<void>;
}

export const CLUSTER = 'shop';
export const NODE = 'db1';
const PASSWORDS = { stillpoint: 'secret-of-the-agent', replication: 'secret-of-replicas', app: 'secret-of-the-shop' };

export interface NodeOptions {
  /** Directories to put into the agent's PATH, before those of the system. */
  readonly path?: readonly string[];
  /** Changes agent.yaml before the agent is started. */
  readonly configure?: (config: Readonly<Record<string, unknown>>) => Readonly<Record<string, unknown>>;
}

/** Starts a server with the shop's data, and its agent. */
export async function startNode({ path = [], configure }: NodeOptions = {}): Promise<TestNode> {
  guardProcesses();
  const directory = testDirectory('agent-core');
  const server = await startServer({ directory: join(directory, 'server'), options: { plugin_load_add: 'metadata_lock_info' } });
  await loadShop(server, 1);
  await server.sql(`
    CREATE USER app@'%' IDENTIFIED BY '${PASSWORDS.app}';
    GRANT SELECT, INSERT, UPDATE, DELETE, LOCK TABLES ON *.* TO app@'%';
    ${agentGrants()}`);
  const authority = await testAuthority(CLUSTER);
  await issue(authority);
  const port = await freePort();
  const place = { cluster: CLUSTER, name: NODE, directory, pki: authority.directory, address: server.address, agentPort: port };
  const configFile = writeAgentConfig(place, server, PASSWORDS);
  if (configure !== undefined) writeFileSync(configFile, JSON.stringify(configure(JSON.parse(readFileSync(configFile, 'utf8')))));
  const agent = agentOf(authority, directory, port, configFile, path);
  await agent.process.start();
  return {
    ...agent,
    server,
    writer: () => startWriter({ host: server.address, port: server.port, user: 'app', password: PASSWORDS.app }),
    sessions: async () =>
      Number((await server.sql(`SELECT COUNT(*) AS n FROM information_schema.processlist WHERE user = 'stillpoint'`))[0]?.n),
    remove: async () => {
      await agent.end();
      await server.remove();
    },
  };
}

/** Starts an agent on a host without a MariaDB server. */
export async function startBareNode(): Promise<TestAgent & { remove(): Promise<void> }> {
  guardProcesses();
  const directory = testDirectory('bare-node');
  const authority = await testAuthority(CLUSTER);
  await issue(authority);
  const port = await freePort();
  const at = (name: string): string => join(directory, name);
  const pki = (name: string): string => join(authority.directory, name);
  mkdirSync(at('repository'));
  const config = {
    ...{ cluster: CLUSTER, node: NODE, listen: `127.0.0.1:${port}`, stateDir: at('agent-state'), repository: at('repository') },
    tls: { ca: pki('ca.crt'), cert: pki(`${NODE}.crt`), key: pki(`${NODE}.key`) },
  };
  writeFileSync(at('agent.yaml'), JSON.stringify(config));
  const agent = agentOf(authority, directory, port, at('agent.yaml'));
  await agent.process.start();
  return { ...agent, remove: () => agent.end() };
}

/** An id for a new operation. */
export const operation = (kind: OperationKind = 'backup'): string => newOperationId(kind, new Date());
/** An id for a new set. */
export const set = (): string => newSetId(new Date());

async function issue(authority: TestAuthority): Promise<void> {
  await authority.issue('agent', NODE);
  await authority.issue('agent', 'db2');
  await authority.issue('controller', 'ops');
}

function agentGrants(): string {
  const sql = grantsSql({ user: 'stillpoint', host: 'localhost', purposes: ['backup', 'restore'], authentication: 'password' });
  return sql.join('\n').replace("'<password>'", `'${PASSWORDS.stillpoint}'`);
}

function agentOf(
  authority: TestAuthority,
  directory: string,
  port: number,
  configFile: string,
  path: readonly string[] = [],
): TestAgent & { end(): Promise<void> } {
  const programs = join(directory, 'programs');
  const stateDir = join(directory, 'agent-state');
  const connections: Connection<typeof AgentService>[] = [];
  makePrograms(programs);
  const address = `127.0.0.1:${port}`;
  const process = agentProcess({
    ...{ configFile, logFile: join(directory, 'agent.log'), address: '127.0.0.1', port },
    programs: [programs, ...path].join(':'),
  });
  const connectAs = (name: string): Connection<typeof AgentService> => {
    const at = (file: string): string => join(authority.directory, file);
    const tls = { ca: at('ca.crt'), cert: at(`${name}.crt`), key: at(`${name}.key`) };
    const connection = createClient(AgentService, { node: NODE, address }, { tls, cluster: CLUSTER });
    connections.push(connection);
    return connection;
  };
  return {
    ...{ process, address, configFile, stateDir, repository: join(directory, 'repository') },
    connect: () => connectAs('ops'),
    connectAsAgent: () => connectAs('db2'),
    journal: (operationId) => {
      const file = join(stateDir, 'operations', `${operationId}.jsonl`);
      return readFileSync(file, 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as { type: string });
    },
    gate: (program, argument) => closeGate(programs, program, argument),
    end: async () => {
      for (const connection of connections) connection.close();
      await process.kill('SIGCONT');
      await process.kill('SIGKILL');
      authority.remove();
    },
  };
}

/** Sets of which something lies in the repository. */
export function setsIn(repository: string): string[] {
  try {
    return readdirSync(join(repository, CLUSTER));
  } catch {
    return [];
  }
}
