import type { PlannedNode, RestorePlan } from './restore.ts';
import type { RestoreStep } from './steps.ts';

/** One phase of a restore: its steps run in parallel, and all end before the next phase begins. */
export interface RestorePhase {
  readonly phase: string;
  readonly steps: readonly RestoreStep[];
}

/** Kinds that need to know nothing but their node. */
type PlainKind = Exclude<RestoreStep['kind'], 'stop-engine' | 'load-brm' | 'start-engine'>;

const phase = (name: string, kind: PlainKind, nodes: readonly PlannedNode[]): RestorePhase => ({
  phase: name,
  steps: nodes.map(({ node }) => ({ kind, node })),
});

/** What happens before the barrier: nothing of it touches live data. Pure. */
export const phasesBeforeBarrier = ({ nodes }: RestorePlan): RestorePhase[] => [
  phase('check', 'check', nodes),
  phase('stage', 'stage', nodes),
];

/**
 * What happens behind the barrier, with the servers and the engine stopped, until the servers run. The sources of replication start before
 * those that follow them. Pure.
 */
export function phasesBehindBarrier({ nodes, replication }: RestorePlan): RestorePhase[] {
  const servers = nodes.filter(({ image }) => image !== '');
  const followers = servers.filter(({ replicateFrom }) => replicateFrom !== undefined);
  const phases = [
    phase('switch', 'switch', nodes),
    phase(
      'start',
      'start',
      servers.filter((node) => !followers.includes(node)),
    ),
    phase('start-replicas', 'start', followers),
    ...(replication === 'start' ? [phase('replicate', 'replicate', followers)] : []),
  ];
  return phases.filter(({ steps }) => steps.length > 0);
}

/** The last phase, once the engine runs: it is read through every SQL server of its nodes. None without an engine. Pure. */
export function proofPhases({ nodes }: RestorePlan): RestorePhase[] {
  const readers = nodes.filter(({ engine, image }) => engine !== undefined && image !== '');
  return readers.length === 0 ? [] : [phase('prove-engine', 'prove-engine', readers)];
}
