import { StillpointError } from '@stillpoint/shared/errors';
import type { NodeFacts } from '@stillpoint/shared/proto';
import { factsOfAll } from '../agents/facts.ts';
import type { AgentPool, NodeAgent } from '../agents/pool.ts';
import type { RestoreSettings } from '../config/schema.ts';
import type { ControllerContext } from '../context.ts';
import type { OperationRecord } from '../journal/journal.ts';
import { type StepRecord, stepsOf } from '../journal/steps.ts';
import type { PlannedNode, RestorePlan } from '../plan/restore.ts';
import type { RestoreStep } from '../plan/steps.ts';
import type { Operation } from './operation.ts';

/** A restore that runs. What its steps have brought about is in the journal alone, so that another process can go on. */
export interface RestoreRun {
  readonly operation: Operation;
  readonly agents: AgentPool;
  readonly settings: RestoreSettings;
  /** With the nodes that take part. */
  readonly plan: RestorePlan;
  /** With all of its nodes. */
  readonly whole: RestorePlan;
  /** Nodes of the plan that are not contacted. */
  readonly leftOut: readonly string[];
}

/** A plan without some of its nodes. Throws NODE_UNKNOWN for one that is not in it, and USAGE when none would be left. */
export function leaveOut(plan: RestorePlan, leftOut: readonly string[]): RestorePlan {
  const unknown = leftOut.find((name) => !plan.nodes.some(({ node }) => node === name));
  if (unknown !== undefined) throw new StillpointError('NODE_UNKNOWN', `${unknown} is no node of plan ${plan.id}`);
  const nodes = plan.nodes.filter(({ node }) => !leftOut.includes(node));
  if (nodes.length === 0) throw new StillpointError('USAGE', `without ${leftOut.join(', ')}, no node of plan ${plan.id} is left`);
  return { ...plan, nodes };
}

/** A restore in the journal. Throws OPERATION_NOT_FOUND. */
export function restoreRecord({ store }: ControllerContext, operationId: string): OperationRecord {
  const record = store.journal.get(operationId);
  if (record.kind !== 'restore') throw new StillpointError('OPERATION_NOT_FOUND', `${operationId} is no restore`);
  return record;
}

/** The steps of an operation that need not be running. */
export const recordedSteps = ({ clock, store }: ControllerContext, operationId: string): StepRecord[] =>
  stepsOf(store.db, operationId, clock).all();

/** How the plan has it for a node. */
export function plannedFor({ plan }: RestoreRun, node: string): PlannedNode {
  const planned = plan.nodes.find((other) => other.node === node);
  if (planned === undefined) throw new Error(`${node} is not in plan ${plan.id}`);
  return planned;
}

/** Agents of the nodes that are restored. */
export const restoredAgents = (agents: AgentPool, plan: RestorePlan): NodeAgent[] => plan.nodes.map(({ node }) => agents.get(node));

/** Agents of the nodes that are restored, and of those whose parts are images for others, but for those that are left out. */
export const involvedAgents = ({ agents, leftOut, plan }: RestoreRun): NodeAgent[] =>
  [...new Set(plan.nodes.flatMap(({ dbroots, image, node }) => [node, image, ...dbroots.map(({ from }) => from)]))]
    .filter((node) => node !== '' && !leftOut.includes(node))
    .map((node) => agents.get(node));

/** What the restored nodes say of themselves now. */
export async function factsByNode({ agents, operation, plan }: RestoreRun, signal: AbortSignal): Promise<ReadonlyMap<string, NodeFacts>> {
  const answers = await factsOfAll(restoredAgents(agents, plan), operation.clock, signal);
  return new Map(answers.map(({ node, facts }) => [node, facts]));
}

/** True once a step was begun on a node, however it went. */
export const wasBegun = ({ operation }: RestoreRun, kind: RestoreStep['kind'], node: string): boolean =>
  operation.steps.get(kind, node) !== undefined;

/** True once a step is done on a node. */
export const isDone = ({ operation }: RestoreRun, kind: RestoreStep['kind'], node: string): boolean =>
  operation.steps.get(kind, node)?.state === 'succeeded';
