import type { PlannedNode, RestorePlan } from './restore.ts';
import type { RestoreStep } from './steps.ts';

/** One phase of a restore: its steps run in parallel, and all end before the next phase begins. */
export interface RestorePhase {
  readonly phase: string;
  readonly steps: readonly RestoreStep[];
}

const phase = (name: string, kind: RestoreStep['kind'], nodes: readonly PlannedNode[]): RestorePhase => ({
  phase: name,
  steps: nodes.map(({ node }) => ({ kind, node })),
});

/** What happens before the barrier: nothing of it touches live data. Pure. */
export const phasesBeforeBarrier = ({ nodes }: RestorePlan): RestorePhase[] => [
  phase('check', 'check', nodes),
  phase('stage', 'stage', nodes),
];

/** What happens behind the barrier, with the servers stopped. The sources of replication start before those that follow them. Pure. */
export function phasesBehindBarrier({ nodes, replication }: RestorePlan): RestorePhase[] {
  const followers = nodes.filter(({ replicateFrom }) => replicateFrom !== undefined);
  const phases = [
    phase('switch', 'switch', nodes),
    phase(
      'start',
      'start',
      nodes.filter((node) => !followers.includes(node)),
    ),
    phase('start-replicas', 'start', followers),
    ...(replication === 'start' ? [phase('replicate', 'replicate', followers)] : []),
  ];
  return phases.filter(({ steps }) => steps.length > 0);
}
