import type { SetMember } from '@stillpoint/shared/manifest';
import { engineTargets } from './engine-targets.ts';
import { memberOf } from './image.ts';
import type { RestoreFacts } from './restore.ts';

/**
 * Nodes that are restored unless some are named: the servers of the set, and the modules of the engine as it is now, if the set has one.
 * Pure.
 */
export function defaultNodes(facts: RestoreFacts, restoreConfiguration: boolean): string[] {
  const { members, columnstore } = facts.set;
  const targets = columnstore === undefined ? [] : engineTargets(facts, restoreConfiguration).map(({ node }) => node);
  const fromSet = members.filter(({ node, roles }) => roles.includes('sql') || targets.includes(node)).map(({ node }) => node);
  return [...fromSet, ...targets.filter((node) => !fromSet.includes(node))];
}

/**
 * A node as a member of the set: as it was; as a new replica of the primary; or, for a module of the engine without a server, with its
 * dbroots alone. Undefined for a node that the set has nothing for. Pure.
 */
export function restoredMember(node: string, facts: RestoreFacts, isModule: boolean): SetMember | undefined {
  const view = facts.nodes.find((other) => other.node === node);
  const known = facts.set.members.find((member) => member.node === node);
  const hasServer = view === undefined || 'error' in view || view.facts.mariadb !== undefined;
  if (known === undefined && isModule && !hasServer) return { ...MODULE_ONLY, node };
  const member = memberOf(node, facts.set);
  if (member === undefined || !isModule || member.roles.includes('pm')) return member;
  return { ...member, roles: [...member.roles, 'pm'] };
}

const MODULE_ONLY: Omit<SetMember, 'node'> = {
  roles: ['pm'],
  partSha256: '',
  storedBytes: 0,
  dataBytes: 0,
  mariadbVersion: '',
  gtidBinlogPos: '',
  gtidSlavePos: '',
  source: '',
  dbroots: [],
  provenTables: 0,
  blockedMs: 0,
  phases: [],
};
