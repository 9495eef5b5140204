import { sameGtidPosition } from '@stillpoint/shared/replication';
import type { PlannedNode, PlanProblem, RestoreFacts } from './restore.ts';
import { placementsOf } from './topology.ts';

/**
 * Replicas that would go on following a server that goes back in time. They may hold transactions that it will not have,
 * and the next ones get GTIDs that were given out before: replication then runs without an error and the data differs.
 */
export function replicasLeftBehind(planned: readonly PlannedNode[], wanted: readonly string[], facts: RestoreFacts): PlanProblem[] {
  const views = facts.nodes.filter((view) => 'facts' in view);
  const live = placementsOf(views);
  return facts.nodes.flatMap(({ node }) => {
    if (wanted.includes(node)) return [];
    const recorded = facts.set.members.find((member) => member.node === node)?.source ?? '';
    const source = planned.find((other) => other.node === (live.find((place) => place.node === node)?.source || recorded));
    const position = views.find((view) => view.node === node)?.facts.mariadb?.position?.gtidSlavePos;
    if (source === undefined || (position !== undefined && sameGtidPosition(position, source.gtidPosition))) return [];
    return [
      {
        node,
        message: `is not restored but replicates from ${source.node}, which goes back to ${source.gtidPosition || 'an empty log'}: it would differ without an error`,
        hint: `Restore it too; or run STOP SLAVE; RESET SLAVE ALL; on ${node} and plan with --leave-replicas.`,
      },
    ];
  });
}
