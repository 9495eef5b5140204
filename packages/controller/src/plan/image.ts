import type { SetManifest, SetMember } from '@stillpoint/shared/manifest';
import { currentGtidPosition, sameGtidPosition } from '@stillpoint/shared/replication';
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
  dbroots: [],
  provenTables: 0,
  blockedMs: 0,
  phases: [],
};

/** True for what `memberOf` made of a node that is not in the set. */
export const isNewReplica = ({ partSha256 }: SetMember): boolean => partSha256 === '';

/** The member at the top of a member's replication; undefined for a ring. */
export function rootMember(member: SetMember, set: SetManifest): SetMember | undefined {
  const start = isNewReplica(member) ? member.source : member.node;
  const root = rootOf(start, (node) => set.members.find((other) => other.node === node)?.source ?? '');
  return set.members.find(({ node }) => node === root);
}

/** What the choice of images depends on. */
export interface ImageChoice {
  /** Nodes that are restored. */
  readonly restored: readonly string[];
  readonly replicas: ReplicaImage;
  readonly facts: RestoreFacts;
}

/**
 * True when a replica's own part fits the restored cluster: it stands exactly where the restored server that it follows
 * will go on, or none that it follows, directly or through others, is restored. A restored source has an empty binary log:
 * what a replica lacked at the cut could never reach it.
 */
export function ownPartFits(member: SetMember, choice: ImageChoice): boolean {
  const source = restoredSource(member, choice);
  if (source === undefined) return true;
  return sameGtidPosition(standsAt(member, choice.facts), gtidPositionOf(source, imageOf(source, choice), choice.facts));
}

/** Node whose part a member is restored from. */
export function imageOf(member: SetMember, choice: ImageChoice): string {
  const { facts, replicas } = choice;
  const root = rootMember(member, facts.set);
  if (root === undefined || root.node === member.node) return member.node;
  if (replicas === 'primary' || isNewReplica(member)) return root.node;
  if (replicas === 'own' || (hasPart(member, facts) && ownPartFits(member, choice))) return member.node;
  const source = restoredSource(member, choice);
  return source === undefined ? root.node : imageOf(source, choice);
}

/** GTID position from which a member goes on when it is restored from `image`. */
export function gtidPositionOf(member: SetMember, image: string, facts: RestoreFacts): string {
  return standsAt(facts.set.members.find(({ node }) => node === image) ?? member, facts);
}

/**
 * Where a member stood at the cut. For a server that replicates that is what it has replicated: its own binary log may hold
 * nothing of it. Any other stands at the later of what it logged and what it once replicated.
 */
function standsAt(member: SetMember, facts: RestoreFacts): string {
  const part = facts.parts.get(member.node);
  const replicates = member.source !== '' || (part !== undefined && 'part' in part && (part.part.mariadb?.sources.length ?? 0) > 0);
  return replicates ? member.gtidSlavePos : currentGtidPosition(member.gtidBinlogPos, member.gtidSlavePos);
}

/** The nearest of the servers above a member in its replication that is restored as well; undefined for none, or in a ring. */
function restoredSource(member: SetMember, choice: ImageChoice): SetMember | undefined {
  const { restored, facts } = choice;
  if (rootMember(member, facts.set) === undefined) return undefined;
  const source = facts.set.members.find(({ node }) => node === member.source);
  return source === undefined || restored.includes(source.node) ? source : restoredSource(source, choice);
}

function hasPart({ node }: SetMember, { parts }: RestoreFacts): boolean {
  const part = parts.get(node);
  return part !== undefined && 'part' in part;
}
