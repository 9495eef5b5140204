import { StillpointError } from '@stillpoint/shared/errors';
import type { MemberRole } from '@stillpoint/shared/manifest';
import { formatDuration } from '@stillpoint/shared/time';
import type { BackupSettings } from '../config/schema.ts';
import type { BackupStep } from './steps.ts';
import { type NodeView, type Placement, placementsOf } from './topology.ts';

/** One phase: its steps run on all their nodes in parallel, and all end before the next phase begins. */
export interface BackupPhase {
  readonly phase: BackupStep['kind'];
  readonly nodes: readonly string[];
  readonly blocksWriters: boolean;
  readonly bound: string;
  readonly steps: readonly BackupStep[];
}

/** What a backup would do, before it does it; shown by `backup create --dry-run`. */
export interface BackupPlan {
  readonly cluster: string;
  readonly nodes: readonly {
    readonly node: string;
    readonly roles: readonly MemberRole[];
    /** Node that it replicates from; empty for none, or one outside of the cluster. */
    readonly source: string;
    /** How its image is taken, and why in this way. */
    readonly capture: { readonly strategy: 'locked'; readonly reason: string };
    /** Bytes to read. */
    readonly dataBytes: number;
    readonly repository: string;
    readonly freeBytes: number;
  }[];
  /** Phases in order. */
  readonly phases: readonly BackupPhase[];
  readonly lockTimeoutMs: number;
  readonly maxBlockMs: number;
}

/** Plans a backup of all nodes. Pure. Throws NO_SQL_NODE. */
export function planBackup(cluster: string, nodes: readonly NodeView[], settings: BackupSettings): BackupPlan {
  const placements = placementsOf(nodes);
  if (!placements.some(({ roles }) => roles.includes('sql'))) {
    throw new StillpointError('NO_SQL_NODE', `none of ${nodes.map(({ node }) => node).join(', ')} has a MariaDB server`);
  }
  return {
    cluster,
    nodes: nodes.map(({ node, facts }, i) => ({
      node,
      roles: placements[i]?.roles ?? [],
      source: placements[i]?.source ?? '',
      capture: { strategy: 'locked', reason: 'the only strategy of this version: the image is taken under the lock' },
      dataBytes: Number(facts.mariadb?.datadirBytes ?? 0n),
      repository: facts.repository?.path ?? '',
      freeBytes: Number(facts.repository?.freeBytes ?? 0n),
    })),
    phases: phasesOf(placements, settings),
    lockTimeoutMs: settings.lockTimeout,
    maxBlockMs: settings.maxBlock,
  };
}

/** Every node holds and attests, also one without a server: a set is what stood still together. */
function phasesOf(placements: readonly Placement[], settings: BackupSettings): BackupPhase[] {
  const all = placements.map(({ node }) => node);
  const engines = placements.filter(({ roles }) => roles.includes('pm')).map(({ node }) => node);
  const budget = `within ${formatDuration(settings.maxBlock)} of the first lock`;
  const phase = (kind: BackupStep['kind'], nodes: readonly string[], blocksWriters: boolean, bound: string): BackupPhase => ({
    phase: kind,
    nodes,
    blocksWriters,
    bound,
    steps: nodes.map((node) => ({ kind, node })),
  });
  const phases = [
    phase('check', all, false, ''),
    phase('quiesce', all, true, `${formatDuration(settings.lockTimeout)} an attempt, ${settings.lockAttempts} attempts`),
    phase('drain', engines, true, budget),
    phase('suspend', engines, true, budget),
    phase('flush', engines, true, budget),
    phase('capture', all, true, budget),
    phase('attest', all, true, budget),
    phase('resume', all, true, `the lease, ${formatDuration(settings.lease)}`),
    phase('publish', all, false, ''),
    phase('commit', all, false, ''),
  ];
  return phases.filter(({ nodes }) => nodes.length > 0);
}
