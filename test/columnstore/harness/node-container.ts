import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createConnection, type RowDataPacket } from 'mysql2/promise';
import { GenericContainer, type StartedTestContainer, Wait } from 'testcontainers';
import { DATA_DIRECTORY } from './columnstore-xml.ts';
import { containerRuntime, engineImage } from './container-runtime.ts';
import type { TestNetwork } from './network.ts';
import { ownLabels } from './owned.ts';

/** The checkout: its Node and its sources are what an agent in a container runs. */
const CHECKOUT = join(import.meta.dirname, '../../..');

/** How a command in a container ended. */
export interface Output {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** One host of a cluster: a container with an address, a host name and shared memory of its own. */
export interface NodeContainer {
  /** Also its host name. */
  readonly name: string;
  readonly address: string;
  /** A directory of this machine that has the same path inside. Everything else inside goes away with the container. */
  readonly directory: string;
  /** Runs a bash command as root; throws with all its output when it does not exit with 0. Gives stdout. */
  sh(command: string): Promise<string>;
  /** Runs a bash command, however it ends. */
  run(command: string, user?: 'root' | 'mysql'): Promise<Output>;
  /**
   * Runs statements one by one as root of the server, on a connection of their own over TCP; gives the rows of the last one.
   * One string is one statement: ColumnStore reads the text of a CREATE TABLE to its end, past a semicolon.
   */
  sql(...statements: readonly string[]): Promise<RowDataPacket[]>;
  /** Process ids inside, by the name of the program; zombies are not counted. */
  pids(program: string): Promise<readonly number[]>;
  /** Signals every process of this name inside. Throws when there is none. */
  kill(program: string, signal?: NodeJS.Signals): Promise<void>;
  /** Cuts the power: everything inside dies, shared memory is gone, files stay. */
  cutPower(): Promise<void>;
  /** Switches it on again; nothing runs inside then. */
  switchOn(): Promise<void>;
  remove(): Promise<void>;
}

export interface NodeContainerOptions {
  readonly name: string;
  readonly address: string;
  readonly directory: string;
  readonly network: TestNetwork;
  /** All nodes' names and addresses. */
  readonly hosts: readonly { readonly name: string; readonly address: string }[];
  /** A directory of this machine that is the engine's data directory inside. Default: one that goes away with the container. */
  readonly dataDirectory?: string | undefined;
}

/**
 * Addresses of containers come and go with new hardware addresses, which neighbours remember for up to a minute;
 * one that follows from the address never changes.
 */
const hardwareAddress = (address: string): string =>
  `02:42:${address
    .split('.')
    .map((byte) => Number(byte).toString(16).padStart(2, '0'))
    .join(':')}`;

class EngineContainer extends GenericContainer {
  constructor(image: string, { name, address, directory, network, hosts, dataDirectory }: NodeContainerOptions) {
    super(image);
    mkdirSync(dataDirectory ?? directory, { recursive: true });
    this.withName(`${network.name}-${name}`)
      .withLabels(ownLabels())
      .withHostname(name)
      .withNetworkMode(network.name)
      .withExtraHosts(hosts.map((host) => ({ host: host.name, ipAddress: host.address })))
      .withAddedCapabilities('NET_ADMIN')
      .withSharedMemorySize(1024 ** 3)
      .withBindMounts([
        { source: directory, target: directory, mode: 'rw' },
        { source: CHECKOUT, target: CHECKOUT, mode: 'ro' },
        ...(dataDirectory === undefined ? [] : [{ source: dataDirectory, target: DATA_DIRECTORY, mode: 'rw' as const }]),
      ])
      .withWaitStrategy(Wait.forLogMessage('engine: this node is up'));
    this.createOpts.NetworkingConfig = {
      EndpointsConfig: { [network.name]: { IPAMConfig: { IPv4Address: address }, MacAddress: hardwareAddress(address) } },
    };
    this.hostConfig.Dns = ['127.0.0.1'];
  }
}

/** Starts the container; nothing runs in it but process 1. */
export async function startNodeContainer(options: NodeContainerOptions): Promise<NodeContainer> {
  const { container: client } = await containerRuntime();
  const image = engineImage();
  if (image === undefined) throw new Error('there is no image of the ColumnStore engine: run ./dev columnstore');
  const started = await new EngineContainer(image, options).start();
  const handle = client.getById(started.getId());
  const { name, address, directory } = options;
  const sh = async (command: string): Promise<string> => {
    const { exitCode, stdout, stderr } = await run(started, command);
    if (exitCode !== 0) throw new Error(`${name}: ${command}\nexited with ${exitCode}:\n${stdout}${stderr}`);
    return stdout;
  };
  const pids = async (program: string): Promise<number[]> =>
    (await run(started, `pgrep -x -r D,R,S,T,t '${program.slice(0, 15)}'`)).stdout.split('\n').filter(Boolean).map(Number);
  return {
    ...{ name, address, directory, sh, pids },
    run: (command, user) => run(started, command, user),
    sql: (...statements) => query(address, statements),
    kill: async (program, signal = 'SIGKILL') => {
      const found = await pids(program);
      if (found.length === 0) throw new Error(`${name} runs no ${program}`);
      await sh(`kill -${signal.replace('SIG', '')} ${found.join(' ')}`);
    },
    cutPower: async () => void (await handle.kill({ signal: 'SIGKILL' })),
    switchOn: async () => void (await handle.start()),
    remove: async () => void (await started.stop({ timeout: 0, remove: true, removeVolumes: true })),
  };
}

async function run(container: StartedTestContainer, command: string, user = 'root'): Promise<Output> {
  const { exitCode, stdout, stderr } = await container.exec(['bash', '-c', command], { user, workingDir: '/' });
  return { exitCode, stdout, stderr };
}

async function query(host: string, statements: readonly string[]): Promise<RowDataPacket[]> {
  const connection = await createConnection({ host, user: 'root', connectTimeout: 5_000 });
  try {
    let rows: RowDataPacket[] = [];
    for (const statement of statements) [rows] = await connection.query<RowDataPacket[]>(statement);
    return rows;
  } finally {
    await connection.end();
  }
}
