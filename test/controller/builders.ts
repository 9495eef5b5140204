import { create, type DescMessage, type MessageInitShape } from '@bufbuild/protobuf';
import type { PartManifest, SetManifest, SetMember } from '@stillpoint/shared/manifest';
import { type MariadbFactsSchema, type NodeFactsSchema, Role, NodeFactsSchema as Schema } from '@stillpoint/shared/proto';
import { VERSION } from '@stillpoint/shared/version';
import { type BackupSettings, clusterConfigSchema } from '../../packages/controller/src/config/schema.ts';
import type { NodeReading, PartReading, RestoreFacts } from '../../packages/controller/src/plan/restore.ts';
import type { NodeView } from '../../packages/controller/src/plan/topology.ts';

/** Fields of a message, without its type: what a builder changes. */
type Fields<S extends DescMessage> = Omit<Extract<MessageInitShape<S>, { $typeName?: never }>, '$typeName'>;
type Mariadb = Fields<typeof MariadbFactsSchema>;
type Facts = Fields<typeof NodeFactsSchema>;

const SERVER_VERSION = '10.11.19-MariaDB-0+deb12u1';
const GIB = 1024 ** 3;

/** A node with a running MariaDB server; db1 has server id 1. */
export function nodeView(node: string, mariadb: Mariadb = {}, facts: Facts = {}): NodeView {
  return {
    node,
    address: `${node}.example.com:7443`,
    facts: create(Schema, {
      node,
      agentVersion: VERSION,
      hostname: node,
      roles: [Role.SQL],
      mariadb: {
        running: true,
        version: SERVER_VERSION,
        backupToolVersion: '10.11.19-MariaDB',
        serverId: Number(node.replace(/\D/g, '')) || 1,
        datadir: '/var/lib/mysql',
        datadirBytes: BigInt(5 * GIB),
        datadirFreeBytes: BigInt(100 * GIB),
        port: 3306,
        replicationAccount: true,
        gateObstacle: 'its image is taken under the lock',
        ...mariadb,
      },
      repository: { path: '/backup', freeBytes: BigInt(200 * GIB) },
      ...facts,
    }),
  };
}

/** What makes a node a replica of a host. */
export const follows = (host: string, port = 3306): Mariadb => ({
  sources: [{ host, port, user: 'repl', usingGtid: 'Slave_Pos', running: true }],
});

export const SETTINGS: BackupSettings = clusterConfigSchema.parse({
  cluster: 'shop',
  tls: { ca: '/ca', cert: '/cert', key: '/key' },
  nodes: [{ name: 'db1', address: 'db1:7443' }],
}).backup;

const digestOf = (node: string): string =>
  node
    .charCodeAt(node.length - 1)
    .toString(16)
    .padStart(64, '0');

/** db1 is the primary; any other node is its replica, exactly where it is. */
export function member(node: string, changes: Partial<SetMember> = {}): SetMember {
  const primary = node === 'db1';
  return {
    node,
    roles: primary ? ['sql', 'primary'] : ['sql'],
    partSha256: digestOf(node),
    storedBytes: 2 * GIB,
    dataBytes: 5 * GIB,
    mariadbVersion: SERVER_VERSION,
    gtidBinlogPos: '0-1-840',
    gtidSlavePos: primary ? '' : '0-1-840',
    source: primary ? '' : 'db1',
    dbroots: [],
    provenTables: 4,
    blockedMs: 1_200,
    phases: [],
    ...changes,
  };
}

export function setOf(members: readonly SetMember[], setId = '20261121-091500-3fa94c01'): SetManifest {
  return {
    format: 'stillpoint-set/1',
    cluster: 'shop',
    setId,
    operationId: `backup-${setId}`,
    cutAt: '2026-11-21T09:15:04.000Z',
    releasedAt: '2026-11-21T09:15:06.000Z',
    committedAt: '2026-11-21T09:15:20.000Z',
    writtenBy: VERSION,
    holdSkewMs: 3,
    phases: [{ phase: 'capture', ms: 2_000, blocksWriters: true }],
    members: [...members],
    uses: [],
  };
}

/** The part of a member, as its node would show it. */
export function partOf({ node, source }: SetMember, changes: Partial<PartManifest> = {}): { part: PartManifest; sha256: string } {
  const part: PartManifest = {
    format: 'stillpoint-part/1',
    cluster: 'shop',
    setId: '20261121-091500-3fa94c01',
    node,
    operationId: 'backup-20261121-091500-00000000',
    createdAt: '2026-11-21T09:15:10.000Z',
    writtenBy: VERSION,
    hostname: node,
    mariadb: {
      version: SERVER_VERSION,
      backupToolVersion: '10.11.19-MariaDB',
      serverId: Number(node.replace(/\D/g, '')) || 1,
      datadir: '/var/lib/mysql',
      port: 3306,
      position: { logBin: true, file: 'bin.000001', offset: 700, gtidBinlogPos: '0-1-840', gtidSlavePos: '' },
      sources:
        source === '' ? [] : [{ connectionName: '', host: `10.0.0.${source.slice(2)}`, port: 3306, user: 'repl', usingGtid: 'Slave_Pos' }],
      fromLsn: '0',
      toLsn: '900',
      lastLsn: '1000',
      dataBytes: 5 * GIB,
    },
    shards: [
      {
        name: 'mariadb.full.mbstream.zst',
        content: 'mariadb-full',
        encoding: 'mbstream+zstd',
        storedBytes: 2 * GIB,
        sha256: 'a'.repeat(64),
      },
    ],
    configuration: [
      {
        path: '/etc/my.cnf',
        bytes: 10,
        mode: '0644',
        owner: 'root',
        group: 'root',
        mtime: '2026-11-21T09:00:00.000Z',
        sha256: 'b'.repeat(64),
      },
    ],
    checksums: [],
    unproven: [],
    timings: { lockWaitMs: 1, blockedMs: 1_200, captureMs: 1_000 },
    ...changes,
  };
  return { part, sha256: digestOf(node) };
}

/** Facts for a restore of three nodes; everything is as it should be unless changed. */
export function restoreFacts(
  members: readonly SetMember[] = [member('db1'), member('db2'), member('db3')],
  changes: { nodes?: readonly NodeReading[]; parts?: Readonly<Record<string, PartReading>> } = {},
): RestoreFacts {
  const stopped = members.map(
    ({ node, source }): NodeReading => nodeView(node, { running: false, ...(source === '' ? {} : follows(source)) }),
  );
  const nodes = stopped.map((view) => changes.nodes?.find(({ node }) => node === view.node) ?? view);
  const parts = new Map<string, PartReading>(members.map((each) => [each.node, partOf(each)]));
  for (const [node, reading] of Object.entries(changes.parts ?? {})) parts.set(node, reading);
  return { set: setOf(members), nodes, parts };
}
