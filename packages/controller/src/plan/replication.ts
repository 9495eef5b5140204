import type { SetMember } from '@stillpoint/shared/manifest';
import type { RestoreFacts } from './restore.ts';
import { hostOf } from './topology.ts';

/** The server that a restored one replicates from. */
export interface ReplicationTarget {
  readonly node: string;
  readonly host: string;
  readonly port: number;
  /** Account that it used when the set was made, if known. */
  readonly user?: string;
}

/**
 * Where a member replicates from after the restore: under the address that the source's agent advertises, else where it was
 * found when the set was made, else on the host of the source's agent. Undefined when it has no source in the cluster, or
 * nothing is known of it.
 */
export function replicationTargetOf(member: SetMember, { nodes, parts }: RestoreFacts): ReplicationTarget | undefined {
  if (member.source === '') return undefined;
  const view = nodes.find(({ node }) => node === member.source);
  const server = view !== undefined && 'facts' in view ? view.facts.mariadb : undefined;
  const sourcePart = parts.get(member.source);
  const port = server?.port || (sourcePart !== undefined && 'part' in sourcePart ? (sourcePart.part.mariadb?.port ?? 0) : 0);
  const own = parts.get(member.node);
  const recorded = own !== undefined && 'part' in own ? (own.part.mariadb?.sources ?? []) : [];
  const then = recorded.find((source) => source.port === port) ?? (recorded.length === 1 ? recorded[0] : undefined);
  const user = then === undefined ? {} : { user: then.user };
  if (server !== undefined && server.advertisedHost !== '') return { node: member.source, host: server.advertisedHost, port, ...user };
  if (then !== undefined) return { node: member.source, host: then.host, port: then.port, ...user };
  return view === undefined || port === 0 ? undefined : { node: member.source, host: hostOf(view.address), port, ...user };
}
