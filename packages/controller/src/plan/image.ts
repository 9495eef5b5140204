import type { SetManifest, SetMember } from '@stillpoint/shared/manifest';
import { sameGtidPosition } from '@stillpoint/shared/replication';
import type { ReplicaImage } from '../api.ts';
import type { RestoreFacts } from './restore.ts';
import { rootOf } from './topology.ts';

/**
 * A member of the set; or, for a node that is not in it, the replica that it can become: one that is seeded from the
 * set's primary and follows it. Undefined when the set has not exactly one primary to follow.
 */
export function memberOf(node: string, set: SetManifest): SetMember | undefined {
  const primaries = set.members.filter(({ roles }) => roles.includes('primary'));
  const [primary, ...more] = primaries;
  const newReplica = primary === undefined || more.length > 0 ? undefined : { ...NEW_REPLICA, node, source: primary.node };
  return set.members.find((member) => member.node === node) ?? newReplica;
}

const NEW_REPLICA: Omit<SetMember, 'node' | 'source'> = {
  roles: ['sql'],
  partSha256: '',
  storedBytes: 0,
  dataBytes: 0,
  mariadbVersion: '',
  gtidBinlogPos: '',
  gtidSlavePos: '',
  provenTables: 0,
  blockedMs: 0,
};

/** True for what `memberOf` made of a node that is not in the set. */
export const isNewReplica = ({ partSha256 }: SetMember): boolean => partSha256 === '';

/** The member at the top of a member's replication; undefined for a ring. */
export function rootMember(member: SetMember, set: SetManifest): SetMember | undefined {
  const start = isNewReplica(member) ? member.source : member.node;
  const root = rootOf(start, (node) => set.members.find((other) => other.node === node)?.source ?? '');
  return set.members.find(({ node }) => node === root);
}

/**
 * True when a replica's own part fits the restored cluster: it stood exactly where its primary did, or its primary is not
 * restored and so still has the transactions between. A restored primary has an empty binary log: what a replica lacked at
 * the cut could never reach it.
 */
export function ownPartFits(member: SetMember, restored: readonly string[], set: SetManifest): boolean {
  const root = rootMember(member, set);
  return (
    root === undefined ||
    root.node === member.node ||
    !restored.includes(root.node) ||
    sameGtidPosition(member.gtidSlavePos, root.gtidBinlogPos)
  );
}

/** Node whose part a member is restored from. */
export function imageOf(member: SetMember, restored: readonly string[], replicas: ReplicaImage, facts: RestoreFacts): string {
  const root = rootMember(member, facts.set);
  if (root === undefined || root.node === member.node) return member.node;
  if (replicas === 'primary' || isNewReplica(member)) return root.node;
  if (replicas === 'own') return member.node;
  const own = facts.parts.get(member.node);
  const ownIsThere = own !== undefined && 'part' in own;
  return ownIsThere && ownPartFits(member, restored, facts.set) ? member.node : root.node;
}

/** GTID position from which a member goes on when it is restored from `image`. */
export function gtidPositionOf(member: SetMember, image: SetMember, facts: RestoreFacts): string {
  if (image.node !== member.node) return image.gtidBinlogPos;
  const own = facts.parts.get(member.node);
  const replicates = member.source !== '' || (own !== undefined && 'part' in own && (own.part.mariadb?.sources.length ?? 0) > 0);
  return replicates ? member.gtidSlavePos : member.gtidBinlogPos;
}
