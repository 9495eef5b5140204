import type { StillpointError } from '@stillpoint/shared/errors';
import { type MemberRole, type PartManifest, type SetManifest, type SetMember, stagingBytes } from '@stillpoint/shared/manifest';
import type { ReplicaImage, RestoreRequest } from '../api.ts';
import { defaultNodes, restoredMember } from './chosen-nodes.ts';
import { decryptionProblems } from './decryption.ts';
import { noReader, spaceTogether } from './engine-nodes.ts';
import { gtidPositionOf, imageOf } from './image.ts';
import { replicasLeftBehind } from './left-behind.ts';
import { type ReplicationTarget, replicationTargetOf } from './replication.ts';
import { type EnginePlan, type PlannedDbroot, type PlannedEngine, planEngine } from './restore-engine.ts';
import { duplicateServerIds, problemsOf, warningsOf } from './restore-problems.ts';
import type { NodeView } from './topology.ts';

/** What happens to one node. */
export interface PlannedNode {
  readonly node: string;
  readonly roles: readonly MemberRole[];
  /**
   * Node whose part is the image of the server. Another node than `node` means: this replica is seeded over the network. Empty on a
   * node without a server.
   */
  readonly image: string;
  /** Digest of that part's manifest. */
  readonly imageSha256: string;
  /** Digest of the node's own part manifest, when its configuration is restored; else empty. */
  readonly ownPartSha256: string;
  /** Bytes of the server's image as stored; those of dbroots are not in it. */
  readonly storedBytes: number;
  /** Where the data goes. */
  readonly datadir: string;
  /** Bytes needed beside the live data, on its file system. */
  readonly needBytes: number;
  readonly freeBytes: number;
  /** Bytes that are there now and will be kept aside. */
  readonly replacesBytes: number;
  readonly serverRunning: boolean;
  readonly installedVersion: string;
  readonly setVersion: string;
  readonly restoreConfiguration: boolean;
  /** GTID position from which the server goes on. */
  readonly gtidPosition: string;
  /** Where to replicate from afterwards; undefined for a server that replicates from nobody in the plan. */
  readonly replicateFrom: ReplicationTarget | undefined;
  /** What happens to the dbroots that the node owns. */
  readonly dbroots: readonly PlannedDbroot[];
  /** Undefined on a node that is no module of the engine, or whose engine is left alone. */
  readonly engine: PlannedEngine | undefined;
}

/** Why a plan cannot be run as things are. */
export interface PlanProblem {
  /** Empty for the cluster as a whole. */
  readonly node: string;
  readonly message: string;
  readonly hint: string;
}

/** A restore, before it happens. It is stored under its id, which confirms it. */
export interface RestorePlan {
  readonly id: string;
  readonly cluster: string;
  readonly setId: string;
  readonly cutAt: string;
  readonly createdAt: string;
  readonly replicas: ReplicaImage;
  readonly replication: 'start' | 'print';
  /** Replicas of restored servers may be left as they are. */
  readonly leaveReplicas: boolean;
  readonly nodes: readonly PlannedNode[];
  /** The engine as the set has it; undefined when none is restored. */
  readonly columnstore: SetManifest['columnstore'];
  /** Why it cannot be run as things are; empty for a plan that can. */
  readonly problems: readonly PlanProblem[];
  readonly warnings: readonly string[];
}

/** A part's manifest as its node showed it, or why not. */
export type PartReading = { readonly part: PartManifest; readonly sha256: string } | { readonly error: StillpointError };

/** A configured node: what it says of itself, or why it is silent. */
export type NodeReading = NodeView | { readonly node: string; readonly address: string; readonly error: StillpointError };

/** Everything that a restore is planned from. */
export interface RestoreFacts {
  readonly set: SetManifest;
  /** Parts of the set's members, as far as configured, by node. */
  readonly parts: ReadonlyMap<string, PartReading>;
  /** All nodes of the cluster configuration. */
  readonly nodes: readonly NodeReading[];
}

/** Plans a restore. Pure: what speaks against it is in the plan, not thrown. */
export function planRestore(id: string, now: Date, request: RestoreRequest, facts: RestoreFacts): RestorePlan {
  const { set } = facts;
  const wanted = request.nodes ?? defaultNodes(facts, request.restoreConfiguration);
  const engine = planEngine(wanted, request, facts);
  const nodes = wanted.flatMap((node) => {
    const member = restoredMember(node, facts, engine.nodes.has(node));
    const view = facts.nodes.find((other) => other.node === node);
    const isPlanned = member !== undefined && view !== undefined && 'facts' in view;
    return isPlanned ? [plannedNode(member, view, wanted, request, facts, engine)] : [];
  });
  return {
    id,
    cluster: set.cluster,
    setId: set.setId,
    cutAt: set.cutAt,
    createdAt: now.toISOString(),
    replicas: request.replicas,
    replication: request.replication,
    leaveReplicas: request.leaveReplicas ?? false,
    nodes,
    columnstore: engine.nodes.size === 0 ? undefined : set.columnstore,
    problems: [
      ...wanted.flatMap((node) => problemsOf(node, nodes, wanted, request, facts)),
      ...duplicateServerIds(nodes, facts),
      ...decryptionProblems(nodes, facts),
      ...(request.leaveReplicas ? [] : replicasLeftBehind(nodes, wanted, facts)),
      ...engine.problems,
      ...noReader(nodes),
    ],
    warnings: [...warningsOf(nodes, wanted, request, facts), ...engine.warnings, ...spaceTogether(nodes)],
  };
}

function plannedNode(
  member: SetMember,
  { facts: found }: NodeView,
  wanted: readonly string[],
  request: RestoreRequest,
  facts: RestoreFacts,
  { nodes: engines }: EnginePlan,
): PlannedNode {
  const { mariadb } = found;
  const hasServer = member.roles.includes('sql');
  const image = hasServer ? imageOf(member, { restored: wanted, replicas: request.replicas, facts }) : '';
  const imageMember = facts.set.members.find(({ node }) => node === image) ?? member;
  const server = serverShare(imageMember, facts);
  const ownPart = facts.parts.get(member.node);
  const restoreConfiguration =
    request.restoreConfiguration && ownPart !== undefined && 'part' in ownPart && ownPart.part.configuration.length > 0;
  const { dbroots = [], engine } = engines.get(member.node) ?? {};
  return {
    node: member.node,
    roles: member.roles,
    image,
    imageSha256: hasServer ? imageMember.partSha256 : '',
    ownPartSha256: restoreConfiguration ? member.partSha256 : '',
    storedBytes: hasServer ? server.storedBytes : 0,
    datadir: mariadb?.datadir ?? '',
    needBytes: hasServer ? stagingBytes(server.dataBytes) : 0,
    freeBytes: Number(mariadb?.datadirFreeBytes ?? 0n),
    replacesBytes: hasServer ? Number(mariadb?.datadirBytes ?? 0n) : 0,
    serverRunning: mariadb?.running ?? false,
    installedVersion: mariadb?.version ?? '',
    setVersion: hasServer ? imageMember.mariadbVersion : '',
    restoreConfiguration,
    gtidPosition: hasServer ? gtidPositionOf(member, image, facts) : '',
    replicateFrom: hasServer ? replicationTargetOf(member, facts) : undefined,
    dbroots,
    engine,
  };
}

/** A member's bytes without those of its dbroots, which may go elsewhere. */
function serverShare({ dataBytes, node, storedBytes }: SetMember, { parts }: RestoreFacts): { dataBytes: number; storedBytes: number } {
  const reading = parts.get(node);
  const part = reading !== undefined && 'part' in reading ? reading.part : undefined;
  const dbroots = part?.columnstore?.dbroots ?? [];
  const files = new Set(dbroots.flatMap(({ list, shards }) => [...shards, list]));
  const ofDbroots = part?.shards.filter(({ name }) => files.has(name)) ?? [];
  return {
    dataBytes: dataBytes - dbroots.reduce((sum, dbroot) => sum + dbroot.dataBytes, 0),
    storedBytes: storedBytes - ofDbroots.reduce((sum, shard) => sum + shard.storedBytes, 0),
  };
}
