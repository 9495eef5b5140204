import type { StillpointError } from '@stillpoint/shared/errors';
import { type MemberRole, type PartManifest, type SetManifest, type SetMember, stagingBytes } from '@stillpoint/shared/manifest';
import type { ReplicaImage, RestoreRequest } from '../api.ts';
import { gtidPositionOf, imageOf, memberOf } from './image.ts';
import { replicasLeftBehind } from './left-behind.ts';
import { type ReplicationTarget, replicationTargetOf } from './replication.ts';
import { duplicateServerIds, problemsOf, warningsOf } from './restore-problems.ts';
import type { NodeView } from './topology.ts';

/** What happens to one node. */
export interface PlannedNode {
  readonly node: string;
  readonly roles: readonly MemberRole[];
  /** Node whose part is the image. Another node than `node` means: this replica is seeded over the network. */
  readonly image: string;
  /** Digest of that part's manifest. */
  readonly imageSha256: string;
  /** Digest of the node's own part manifest, when its configuration is restored; else empty. */
  readonly ownPartSha256: string;
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
}

/** Why a plan cannot be run as things are. */
export interface PlanProblem {
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
  const wanted = request.nodes ?? set.members.filter(({ roles }) => roles.includes('sql')).map(({ node }) => node);
  const members = wanted.flatMap((node) => memberOf(node, set) ?? []);
  const nodes = members.flatMap((member) => {
    const view = facts.nodes.find(({ node }) => node === member.node);
    return view !== undefined && 'facts' in view ? [plannedNode(member, view, wanted, request, facts)] : [];
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
    problems: [
      ...wanted.flatMap((node) => problemsOf(node, nodes, wanted, request, facts)),
      ...duplicateServerIds(nodes, facts),
      ...(request.leaveReplicas ? [] : replicasLeftBehind(nodes, wanted, facts)),
    ],
    warnings: warningsOf(nodes, wanted, request, facts),
  };
}

function plannedNode(
  member: SetMember,
  { facts: found }: NodeView,
  wanted: readonly string[],
  request: RestoreRequest,
  facts: RestoreFacts,
): PlannedNode {
  const { mariadb } = found;
  const image = imageOf(member, { restored: wanted, replicas: request.replicas, facts });
  const imageMember = facts.set.members.find(({ node }) => node === image) ?? member;
  const ownPart = facts.parts.get(member.node);
  const restoreConfiguration =
    request.restoreConfiguration && ownPart !== undefined && 'part' in ownPart && ownPart.part.configuration.length > 0;
  return {
    node: member.node,
    roles: member.roles,
    image,
    imageSha256: imageMember.partSha256,
    ownPartSha256: restoreConfiguration ? member.partSha256 : '',
    storedBytes: imageMember.storedBytes,
    datadir: mariadb?.datadir ?? '',
    needBytes: stagingBytes(imageMember.dataBytes),
    freeBytes: Number(mariadb?.datadirFreeBytes ?? 0n),
    replacesBytes: Number(mariadb?.datadirBytes ?? 0n),
    serverRunning: mariadb?.running ?? false,
    installedVersion: mariadb?.version ?? '',
    setVersion: imageMember.mariadbVersion,
    restoreConfiguration,
    gtidPosition: gtidPositionOf(member, image, facts),
    replicateFrom: replicationTargetOf(member, facts),
  };
}
