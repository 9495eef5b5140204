import type { MemberRole } from '@stillpoint/shared/manifest';
import { type NodeFacts, type ReplicationSource, Role } from '@stillpoint/shared/proto';

/** A node as planners see it. */
export interface NodeView {
  readonly node: string;
  /** host:port of its agent, from the cluster configuration. */
  readonly address: string;
  readonly facts: NodeFacts;
}

/** What a node is to the others. */
export interface Placement {
  readonly node: string;
  readonly roles: readonly MemberRole[];
  /** Node that it replicates from; empty for none, or one outside of the cluster. */
  readonly source: string;
  /** Sources that are no node of the cluster, as host:port. */
  readonly foreignSources: readonly string[];
}

/**
 * Who is what: a running server that replicates from nobody is primary; a source is a node when its host and port are those
 * under which that node is known. Pure.
 */
export function placementsOf(nodes: readonly NodeView[]): Placement[] {
  return nodes.map((view) => {
    const sources = view.facts.mariadb?.sources ?? [];
    const known = sources.map((source) => ({ source, node: nodeBehind(view, source, nodes) }));
    return {
      node: view.node,
      roles: rolesOf(view.facts),
      source: known.find(({ node }) => node !== '')?.node ?? '',
      foreignSources: known.filter(({ node }) => node === '').map(({ source }) => `${source.host}:${source.port}`),
    };
  });
}

function rolesOf({ roles, mariadb }: NodeFacts): MemberRole[] {
  const primary = roles.includes(Role.PRIMARY) || (mariadb?.running === true && mariadb.sources.length === 0);
  return [
    ...(mariadb === undefined && !roles.includes(Role.SQL) ? [] : ['sql' as const]),
    ...(roles.includes(Role.PM) ? ['pm' as const] : []),
    ...(primary ? ['primary' as const] : []),
  ];
}

/** The best kind of match that exactly one node has; empty for none. */
function nodeBehind(replica: NodeView, source: ReplicationSource, nodes: readonly NodeView[]): string {
  const onThatPort = nodes.filter((other) => other.node !== replica.node && other.facts.mariadb?.port === source.port);
  const host = source.host.toLowerCase();
  const kinds: ((other: NodeView) => boolean)[] = [
    (other) => other.facts.mariadb?.advertisedHost.toLowerCase() === host,
    (other) => hostOf(other.address).toLowerCase() === host,
    (other) => sameHostName(other.facts.hostname, host),
    // A loopback address means: on the replica's own machine.
    (other) => isLoopback(host) && other.facts.hostname === replica.facts.hostname,
  ];
  for (const matches of kinds) {
    const [found, ...more] = onThatPort.filter(matches);
    if (found !== undefined) return more.length === 0 ? found.node : '';
  }
  return '';
}

/** The host of host:port, without the brackets of IPv6. */
export const hostOf = (address: string): string => address.slice(0, address.lastIndexOf(':')).replace(/^\[|\]$/g, '');

const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);

/** `db1` and `db1.example.com` are the same host; two addresses are not for sharing their first number. */
function sameHostName(a: string, b: string): boolean {
  const [x, y] = [a.toLowerCase(), b.toLowerCase()];
  if (x === '' || y === '' || /^[\d.:]+$/.test(y)) return false;
  return x === y || x.startsWith(`${y}.`) || y.startsWith(`${x}.`);
}

/** The servers at the top of replication: each replica's chain of sources ends in one. A ring has none and yields ''. */
export function rootOf(node: string, sourceOf: (node: string) => string): string {
  const seen = new Set<string>();
  let at = node;
  for (;;) {
    if (seen.has(at)) return '';
    seen.add(at);
    const source = sourceOf(at);
    if (source === '') return at;
    at = source;
  }
}
