import { newOperationId } from '@stillpoint/shared/operation';
import { onEveryNode } from '../agents/every-node.ts';
import { factsOrSilence } from '../agents/facts.ts';
import { readPart } from '../agents/part.ts';
import type { RestoreRequest } from '../api.ts';
import type { ControllerContext } from '../context.ts';
import { planRestore, type RestoreFacts, type RestorePlan } from '../plan/restore.ts';

/** Plans a restore and keeps the plan under its id. Touches no node. Throws SET_NOT_FOUND. */
export async function makeRestorePlan(context: ControllerContext, request: RestoreRequest, signal: AbortSignal): Promise<RestorePlan> {
  const plan = await restorePlan(context, request, signal);
  context.store.plans.save(plan);
  return plan;
}

/** The same plan, made now. */
export function replan(context: ControllerContext, plan: RestorePlan, signal: AbortSignal): Promise<RestorePlan> {
  const { leaveReplicas, nodes, replicas, replication, setId } = plan;
  const restoreConfiguration = nodes.some((node) => node.restoreConfiguration);
  const names = nodes.map(({ node }) => node);
  return restorePlan(context, { setId, nodes: names, replicas, replication, leaveReplicas, restoreConfiguration }, signal);
}

async function restorePlan(context: ControllerContext, request: RestoreRequest, signal: AbortSignal): Promise<RestorePlan> {
  const now = context.clock.now();
  return planRestore(newOperationId('plan', now), now, request, await gather(context, request.setId, signal));
}

async function gather({ agents, clock, store }: ControllerContext, setId: string, signal: AbortSignal): Promise<RestoreFacts> {
  const set = store.catalog.restorable(setId);
  const holders = agents.all.filter(({ node }) => set.members.some((member) => member.node === node));
  const [nodes, parts] = await Promise.all([
    factsOrSilence(agents.all, clock, signal),
    onEveryNode(holders, undefined, async (agent) => [agent.node, await readPart(agent, set.setId, signal)] as const),
  ]);
  return { set, nodes, parts: new Map(parts) };
}
