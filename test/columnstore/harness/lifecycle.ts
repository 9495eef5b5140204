import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../../harness/eventually.ts';
import { DATA_DIRECTORY } from './columnstore-xml.ts';
import type { NodeContainer } from './node-container.ts';

/** Nodes of a cluster, the primary first. */
export type Nodes = readonly [primary: NodeContainer, ...others: NodeContainer[]];

/** Account with which the other nodes replicate. */
export const REPLICATION = { user: 'repl', password: 'secret-of-repl' } as const;

const DBRM = `${DATA_DIRECTORY}/data1/systemFiles/dbrm`;

/** Where a node that does not own dbroot 1 finds its copy of the block resolution map. */
const SCRATCH = '/tmp/columnstore_tmp_files/rdwrscratch';

const onAll = async (nodes: Nodes, command: string): Promise<void> => void (await Promise.all(nodes.map((node) => node.sh(command))));

const asOwner = (node: NodeContainer, command: string): Promise<string> =>
  node.sh(`cd / && setpriv --reuid=mysql --regid=mysql --init-groups ${command}`);

/** Makes a cluster of new nodes: SQL servers that replicate, an engine with an empty catalog. Everything runs afterwards. */
export async function startNew(nodes: Nodes): Promise<void> {
  await Promise.all(nodes.map((node, index) => node.sh(`engine init ${index + 1}`)));
  await replicate(nodes);
  await startEngine(nodes, () => nodes[0].sh('dbrmctl readwrite'));
  await asOwner(nodes[0], 'dbbuilder 7');
  await ready(nodes);
}

/** Starts a stopped cluster from what its disks hold, also after a power cut. */
export async function startFromDisk(nodes: Nodes): Promise<void> {
  // It looks through every name that a segment can have, which takes seconds.
  await onAll(nodes, 'ls /dev/shm | grep -q MCS-shm && clearShm || true');
  await Promise.all([onAll(nodes, 'engine start mariadbd'), loadBlockMaps(nodes)]);
  await startEngine(nodes);
  await ready(nodes);
}

/** Stops everything in order; the block resolution map is saved while it is still in memory. */
export async function stopInOrder(nodes: Nodes): Promise<void> {
  const [primary] = nodes;
  for (const name of ['DDLProc', 'DMLProc']) await primary.sh(`engine stop ${name}`);
  for (const name of ['PrimProc', 'WriteEngineServer', 'ExeMgr']) await onAll(nodes, `engine stop ${name}`);
  await primary.sh('engine stop controllernode');
  await onAll(nodes, 'engine stop workernode');
  const saved = await asOwner(primary, 'save_brm');
  if (!saved.includes('Saved to ')) throw new Error(`save_brm said: ${saved}`);
  await onAll(nodes, 'clearShm && engine stop mariadbd');
}

async function startEngine(nodes: Nodes, beforeWriters: () => Promise<unknown> = async () => undefined): Promise<void> {
  const [primary] = nodes;
  await onAll(nodes, 'engine start workernode');
  await primary.sh('engine start controllernode');
  for (const name of ['PrimProc', 'WriteEngineServer', 'ExeMgr']) await onAll(nodes, `engine start ${name}`);
  await beforeWriters();
  for (const name of ['DMLProc', 'DDLProc']) await primary.sh(`engine start ${name}`);
}

/** A busy machine takes its time. */
const READY_WITHIN_MS = 120_000;

/** The status words alone prove nothing: every SQL node has to answer from the system catalog. */
async function ready(nodes: Nodes): Promise<void> {
  const saysReady = async (node: NodeContainer) => (await node.run('dbrmctl -v status')).stdout.includes('OK. (and the system is ready)');
  const answers = (node: NodeContainer) =>
    node.sql('SELECT COUNT(*) FROM information_schema.columnstore_tables').then(
      () => true,
      () => false,
    );
  await Promise.all(nodes.map((node) => eventually(async () => (await saysReady(node)) && answers(node), READY_WITHIN_MS)));
}

/** The primary loads its own current set, all others a copy of it. */
async function loadBlockMaps(nodes: Nodes): Promise<void> {
  const [primary, ...others] = nodes;
  const current = (await primary.sh(`cat ${DBRM}/BRM_saves_current`)).trim();
  await Promise.all([
    asOwner(primary, `load_brm ${DBRM}/${current}`),
    ...(others.length === 0 ? [] : [copyBlockMaps(primary, current, others)]),
  ]);
}

async function copyBlockMaps(primary: NodeContainer, current: string, others: readonly NodeContainer[]): Promise<void> {
  const source = join(primary.directory, 'brm');
  mkdirSync(source, { recursive: true });
  const names = ['em', 'vbbm', 'vss'].map((part) => [`${current}_${part}`, `BRM_saves_${part}`]);
  // One journal, whichever set is current.
  names.push(['BRM_saves_journal', 'BRM_saves_journal']);
  await primary.sh(names.map(([from, to]) => `cp ${DBRM}/${from} ${source}/${to}`).join(' && '));
  await Promise.all(
    others.map(async (node) => {
      const copy = join(node.directory, 'brm');
      cpSync(source, copy, { recursive: true });
      await node.sh(`install -o mysql -g mysql -m 644 ${copy}/* ${SCRATCH}/`);
      await asOwner(node, `load_brm ${SCRATCH}/BRM_saves`);
    }),
  );
}

/** All nodes were made alike and forgot how: their positions are equal, and replication begins with what comes next. */
async function replicate([primary, ...others]: Nodes): Promise<void> {
  if (others.length === 0) return;
  const { user, password } = REPLICATION;
  await primary.sql(`CREATE USER ${user}@'%' IDENTIFIED BY '${password}'`, `GRANT REPLICATION SLAVE ON *.* TO ${user}@'%'`);
  await Promise.all(
    others.map((node) =>
      node.sql(
        `CHANGE MASTER TO MASTER_HOST='${primary.address}', MASTER_USER='${user}', MASTER_PASSWORD='${password}',
          MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1`,
        'START SLAVE',
      ),
    ),
  );
}

/** Waits until every other server has replicated what the primary has now. */
export async function caughtUp([primary, ...others]: Nodes): Promise<void> {
  const position = String((await primary.sql('SELECT @@gtid_binlog_pos AS position'))[0]?.position);
  await Promise.all(
    others.map(async (node) => {
      const [row] = await node.sql(`SELECT MASTER_GTID_WAIT('${position}', 60) AS waited`);
      if (Number(row?.waited) !== 0) throw new Error(`${node.name} did not reach ${position}`);
    }),
  );
}
