import { StillpointError } from '@stillpoint/shared/errors';
import { newOperationId } from '@stillpoint/shared/operation';
import { onEveryNode } from '../agents/every-node.ts';
import { factsOrSilence } from '../agents/facts.ts';
import { readPart } from '../agents/part.ts';
import type { RestoreRequest } from '../api.ts';
import type { ControllerContext } from '../context.ts';
import { planRestore, type RestoreFacts, type RestorePlan } from '../plan/restore.ts';

/** Plans a restore and keeps the plan under its id. Touches no node. Throws SET_NOT_FOUND, NODE_UNKNOWN. */
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
  refuseUnknown(context, request);
  return planRestore(newOperationId('plan', now), now, request, await gather(context, request.setId, signal));
}

/** A name that is neither configured nor in the set is a slip of the pen, not a problem of the cluster. */
function refuseUnknown({ config, store }: ControllerContext, { nodes = [], setId }: RestoreRequest): void {
  const known = new Set([...config.nodes.map(({ name }) => name), ...store.catalog.restorable(setId).members.map(({ node }) => node)]);
  const unknown = nodes.filter((node) => !known.has(node));
  if (unknown.length === 0) return;
  throw new StillpointError('NODE_UNKNOWN', `${unknown.join(', ')}: neither configured nor in the set`);
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
