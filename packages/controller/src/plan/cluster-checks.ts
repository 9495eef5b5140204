import type { CheckResult, MariadbFacts } from '@stillpoint/shared/proto';
import { asFarAsSeen, failed, ok, type Unseen, warning } from './check-results.ts';
import { type ConfiguredNode, engineChecks } from './engine-checks.ts';
import { type NodeView, type Placement, placementsOf } from './topology.ts';
import { seriesOf } from './versions.ts';
import { operations, restores } from './work-checks.ts';

const MAX_CLOCK_SKEW_MS = 2_000;
const CERTIFICATE_WARNING_DAYS = 30;

/** What is compared across nodes. */
export interface ClusterView {
  readonly purpose: 'backup' | 'restore';
  readonly nodes: readonly (NodeView & { readonly clockAheadMs: number })[];
  /** Nodes that gave no answer. */
  readonly silent: readonly string[];
  /** Of the controller's own certificates, the one that expires first. */
  readonly expiry: { readonly path: string; readonly daysLeft: number };
}

/** Looks at what no node can see by itself. Every look is told, also those that are in order. Pure. */
export function clusterChecks(view: ClusterView): CheckResult[] {
  const placements = placementsOf(view.nodes);
  const agents = unseenBy(view, () => true);
  const servers = unseenBy(view, ({ running }) => running);
  return [
    asFarAsSeen(clocks(view), agents),
    asFarAsSeen(
      serverIds(view),
      unseenBy(view, ({ serverId }) => serverId !== 0),
    ),
    asFarAsSeen(
      versions(view),
      unseenBy(view, ({ version }) => version !== ''),
    ),
    asFarAsSeen(primary(placements), servers),
    asFarAsSeen(foreignSources(placements), servers),
    asFarAsSeen(strictness(placements, view), servers),
    ...engineChecks(configuredEngines(view), placements).map((result) => asFarAsSeen(result, agents)),
    asFarAsSeen(operations(view.nodes), agents),
    asFarAsSeen(restores(view.nodes), agents),
    certificate(view),
  ];
}

/** Nodes with a Columnstore.xml, also one that makes no sense. */
const configuredEngines = ({ nodes }: ClusterView): ConfiguredNode[] =>
  nodes.flatMap(({ node, facts: { columnstore: engine } }) => (engine === undefined ? [] : [{ node, engine }]));

/** Nodes that gave no answer; and of a server that is down, a backup's look at servers learns nothing either. */
function unseenBy(view: ClusterView, knows: (facts: MariadbFacts) => boolean): Unseen {
  const silent = view.silent.map((node) => `${node} (no answer)`);
  const mute = view.nodes.filter(({ facts: { mariadb } }) => view.purpose === 'backup' && mariadb !== undefined && !knows(mariadb));
  return { nodes: [...silent, ...mute.map(({ node }) => `${node} (its server does not tell)`)], anySeen: view.nodes.length > 0 };
}

function clocks({ nodes }: ClusterView): CheckResult {
  const off = nodes.filter(({ clockAheadMs }) => Math.abs(clockAheadMs) > MAX_CLOCK_SKEW_MS);
  const told = off.map(({ node, clockAheadMs }) => `${node} is ${Math.abs(clockAheadMs)} ms ${clockAheadMs > 0 ? 'ahead' : 'behind'}`);
  return off.length === 0
    ? ok('cluster.clocks', `all clocks within ${MAX_CLOCK_SKEW_MS} ms of the controller's`)
    : warning('cluster.clocks', told.join(', '), 'Times in reports and certificates will not agree: set up time synchronisation.');
}

function serverIds({ nodes, purpose }: ClusterView): CheckResult {
  const byId = Map.groupBy(
    nodes.filter(({ facts }) => (facts.mariadb?.serverId ?? 0) !== 0),
    ({ facts }) => facts.mariadb?.serverId ?? 0,
  );
  const shared = [...byId].filter(([, owners]) => owners.length > 1);
  if (shared.length === 0) return ok('cluster.server_ids', 'every server has an id of its own');
  const message = shared.map(([id, owners]) => `server_id ${id}: ${owners.map(({ node }) => node).join(', ')}`).join('; ');
  const hint = 'Give every server a server_id of its own: a replica skips events that carry its own id, without a word.';
  return purpose === 'restore'
    ? failed('cluster.server_ids', message, hint, 'RESTORE_REFUSED')
    : warning('cluster.server_ids', message, hint);
}

function versions({ nodes }: ClusterView): CheckResult {
  const servers = nodes.filter(({ facts }) => (facts.mariadb?.version ?? '') !== '');
  const bySeries = Map.groupBy(servers, ({ facts }) => seriesOf(facts.mariadb?.version ?? ''));
  return bySeries.size <= 1
    ? ok('cluster.versions', bySeries.size === 0 ? 'no server told its version' : `all servers are of series ${[...bySeries.keys()][0]}`)
    : warning(
        'cluster.versions',
        [...bySeries].map(([series, owners]) => `${series}: ${owners.map(({ node }) => node).join(', ')}`).join('; '),
        'A replica cannot be seeded from an image of another series.',
      );
}

function primary(placements: readonly Placement[]): CheckResult {
  const primaries = placements.filter(({ roles }) => roles.includes('primary')).map(({ node }) => node);
  if (primaries.length === 1) return ok('cluster.primary', `${primaries[0]} is the primary`);
  return primaries.length === 0
    ? warning('cluster.primary', 'no running server replicates from nobody', 'Is the primary down, or replication a ring?')
    : warning(
        'cluster.primary',
        `${primaries.join(', ')} replicate from nobody`,
        'Independent servers are backed up at one point, but not seeded from each other.',
      );
}

function foreignSources(placements: readonly Placement[]): CheckResult {
  const foreign = placements.flatMap(({ node, foreignSources: sources }) => sources.map((source) => `${node} replicates from ${source}`));
  return foreign.length === 0
    ? ok('cluster.sources', 'every source of replication is a node of the cluster')
    : warning(
        'cluster.sources',
        foreign.join(', '),
        'If that is a node of the cluster, set mariadb.advertise in its agent to the same host.',
      );
}

/** Replicas that do not follow by GTID cannot be compared with their primary at the cut. */
function strictness(placements: readonly Placement[], { nodes }: ClusterView): CheckResult {
  const byFile = nodes.filter(({ facts }) => facts.mariadb?.sources.some(({ usingGtid }) => usingGtid === 'No')).map(({ node }) => node);
  if (byFile.length > 0) {
    return warning(
      'cluster.gtid',
      `${byFile.join(', ')} replicate by file and position`,
      'Use MASTER_USE_GTID=slave_pos; a restore starts replication by GTID.',
    );
  }
  return ok('cluster.gtid', placements.some(({ source }) => source !== '') ? 'all replicas follow by GTID' : 'no replica to look at');
}

function certificate({ expiry: { path, daysLeft } }: ClusterView): CheckResult {
  const message = `the controller's ${path} is valid for ${daysLeft} more days`;
  return daysLeft >= CERTIFICATE_WARNING_DAYS
    ? ok('cluster.certificate', message)
    : warning('cluster.certificate', message, 'Issue a new one with `stillpoint pki issue --role controller`.');
}
