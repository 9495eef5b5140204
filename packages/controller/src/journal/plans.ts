import { StillpointError } from '@stillpoint/shared/errors';
import type { RestorePlan } from '../plan/restore.ts';
import type { Database } from './database.ts';

/** Restore plans, kept under the id that confirms them. */
export interface Plans {
  save(plan: RestorePlan): void;
  /** Throws PLAN_NOT_FOUND. */
  get(planId: string): RestorePlan;
}

export function openPlans(db: Database, cluster: string): Plans {
  return {
    save: (plan) =>
      db.run('INSERT INTO plans (id, cluster, created_at, plan) VALUES ($id, $cluster, $createdAt, $plan)', {
        id: plan.id,
        cluster,
        createdAt: plan.createdAt,
        plan: JSON.stringify(plan),
      }),
    get: (id) => {
      const row = db.get<{ plan: string }>('SELECT plan FROM plans WHERE id = $id AND cluster = $cluster', { id, cluster });
      if (row === undefined) throw new StillpointError('PLAN_NOT_FOUND', `no restore plan ${id}`);
      const plan = JSON.parse(row.plan) as RestorePlan;
      // One that was kept by a version without ColumnStore says nothing of dbroots.
      return { ...plan, nodes: plan.nodes.map((node) => ({ ...node, dbroots: node.dbroots ?? [] })) };
    },
  };
}
