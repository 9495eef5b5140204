import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type LoopDiskKind, mountLoopDisk } from '../../harness/loop-disk.ts';
import { sweep, testDirectory } from '../../harness/mariadb-server.ts';
import { columnstoreXml, type Module } from './columnstore-xml.ts';
import { caughtUp, type Nodes, startFromDisk, startNew, stopInOrder } from './lifecycle.ts';
import { createNetwork, type TestNetwork } from './network.ts';
import { type NodeContainer, startNodeContainer } from './node-container.ts';

export interface ColumnstoreClusterOptions {
  /** Default 3. */
  readonly nodes?: number;
  /**
   * Numbers of the dbroots of each node; default one each. Dbroot 1 belongs to pm1. None is possible, but this release of the engine
   * neither imports nor inserts many rows at once then: it looks for a place on every node.
   */
  readonly dbroots?: readonly (readonly number[])[];
  /** Kind of a file system of its own for each node, which holds its dbroots and its repository; see `loopDiskObstacle`. */
  readonly disk?: LoopDiskKind;
}

/** Nothing is written to what is not used of it. */
const DISK_BYTES = 4 * 1024 ** 3;

export interface ColumnstoreNode extends NodeContainer {
  readonly dbroots: readonly number[];
}

/** A real cluster in containers: pm1 is the primary of the engine and of SQL replication. */
export interface ColumnstoreCluster {
  readonly directory: string;
  readonly nodes: readonly ColumnstoreNode[];
  readonly primary: ColumnstoreNode;
  node(name: string): ColumnstoreNode;
  /** What `dbrmctl -v status` says. */
  status(): Promise<string>;
  /** What `viewtablelock` says, or an empty text when it says that no table is locked. */
  locks(): Promise<string>;
  /** Waits until every other server has replicated what the primary has now. */
  caughtUp(): Promise<void>;
  /** Stops all processes in order, as a service manager would: the block resolution map is saved, shared memory cleared. */
  stop(): Promise<void>;
  /** Starts from what the disks hold. */
  start(): Promise<void>;
  /** Ends every process and removes every file. */
  remove(): Promise<void>;
}

/** Starts real nodes and makes an empty database on them. */
export async function startColumnstoreCluster(options: ColumnstoreClusterOptions = {}): Promise<ColumnstoreCluster> {
  const directory = testDirectory('columnstore');
  const network = await createNetwork();
  const modules = Array.from({ length: options.nodes ?? 3 }, (_, index): Module => {
    return { name: `pm${index + 1}`, address: network.address(index + 1), dbroots: options.dbroots?.[index] ?? [index + 1] };
  });
  const nodes = await startNodes(directory, network, modules, options.disk);
  const remove = async (): Promise<void> => {
    await Promise.all(nodes.map((node) => node.remove()));
    await network.remove();
    sweep(directory);
  };
  try {
    await startNew(nodes);
  } catch (error) {
    await remove();
    throw error;
  }
  return assemble(directory, nodes, remove);
}

type ClusterNodes = readonly [ColumnstoreNode, ...ColumnstoreNode[]];

async function startNodes(
  directory: string,
  network: TestNetwork,
  modules: readonly Module[],
  disk: LoopDiskKind | undefined,
): Promise<ClusterNodes> {
  const xml = columnstoreXml(modules);
  const started = await Promise.allSettled(
    modules.map(async ({ name, address, dbroots }): Promise<ColumnstoreNode> => {
      const place = join(directory, name);
      if (disk !== undefined) mountLoopDisk(place, disk, DISK_BYTES);
      const dataDirectory = disk === undefined ? undefined : join(place, 'columnstore');
      const container = await startNodeContainer({ name, address, directory: place, network, hosts: modules, dataDirectory });
      writeFileSync(join(place, 'Columnstore.xml'), xml);
      await container.sh(`install -o mysql -g mysql -m 644 ${place}/Columnstore.xml /etc/columnstore/Columnstore.xml`);
      return { ...container, dbroots };
    }),
  );
  const nodes = started.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const failure = started.find((one) => one.status === 'rejected');
  if (failure !== undefined) {
    await Promise.all(nodes.map((node) => node.remove()));
    await network.remove();
    throw failure.reason;
  }
  return nodes as unknown as ClusterNodes;
}

function assemble(directory: string, nodes: ClusterNodes, remove: () => Promise<void>): ColumnstoreCluster {
  const [primary] = nodes;
  const asNodes: Nodes = nodes;
  return {
    ...{ directory, nodes, primary, remove },
    node: (name) => {
      const found = nodes.find((one) => one.name === name);
      if (found === undefined) throw new Error(`no node ${name}`);
      return found;
    },
    status: async () => (await primary.run('dbrmctl -v status')).stdout.trim(),
    locks: async () => {
      const { stdout, stderr } = await primary.run('viewtablelock');
      return stdout === ' No tables are locked in the database.\n' ? '' : `${stdout}${stderr}`;
    },
    caughtUp: () => caughtUp(asNodes),
    stop: () => stopInOrder(asNodes),
    start: () => startFromDisk(asNodes),
  };
}
