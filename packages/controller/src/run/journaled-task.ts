import { create, fromJsonString, toJsonString } from '@bufbuild/protobuf';
import { toStillpointError } from '@stillpoint/shared/errors';
import { type TaskResult, TaskResultSchema } from '@stillpoint/shared/proto';
import { isLostContact } from '../agents/contact.ts';
import type { NodeAgent } from '../agents/pool.ts';
import { runTask, type TaskOrder } from '../agents/task.ts';
import type { Operation } from './operation.ts';

/**
 * Has a step done by an agent exactly once, over any number of controllers that die on the way: what the journal knows to
 * be done is not done again; a task in doubt is looked for and followed; one that failed gets another attempt, under a new
 * task id. Throws what the task throws.
 */
export async function journaledTask(
  operation: Operation,
  agent: NodeAgent,
  step: string,
  signal: AbortSignal,
  spec: TaskOrder['spec'],
): Promise<TaskResult> {
  const before = operation.steps.get(step, agent.node);
  if (before?.state === 'succeeded')
    return before.result === '' ? create(TaskResultSchema) : fromJsonString(TaskResultSchema, before.result);
  if (before?.state === 'started') {
    try {
      return await attempt(operation, agent, step, before.attempt, signal, spec, true);
    } catch (thrown) {
      if (signal.aborted || isLostContact(toStillpointError(thrown))) throw thrown;
    }
  }
  return attempt(operation, agent, step, (before?.attempt ?? 0) + 1, signal, spec, false);
}

async function attempt(
  { clock, id: operationId, observe, steps }: Operation,
  agent: NodeAgent,
  step: string,
  number: number,
  signal: AbortSignal,
  spec: TaskOrder['spec'],
  mayRun: boolean,
): Promise<TaskResult> {
  const { node } = agent;
  if (!mayRun) steps.started(step, node, number);
  try {
    const result = await runTask(agent, { operationId, taskId: taskIdOf(step, number), spec, mayRun }, { clock, observe, signal });
    steps.succeeded(step, node, toJsonString(TaskResultSchema, result));
    return result;
  } catch (thrown) {
    const error = toStillpointError(thrown);
    // Cancelled or out of reach, it may yet be running: it stays in doubt.
    if (!signal.aborted && !isLostContact(error)) steps.failed(step, node, `${error.code}: ${error.message}`);
    throw error;
  }
}

/** What a step has brought about on a node, if it is done. */
export function resultOf({ steps }: Operation, step: string, node: string): TaskResult['result'] | undefined {
  const record = steps.get(step, node);
  return record?.state === 'succeeded' && record.result !== '' ? fromJsonString(TaskResultSchema, record.result).result : undefined;
}

/** Stops what may still be running on a node, but for a rollback. Tasks that have ended, or never began, are fine. */
export async function cancelInDoubt({ id: operationId, steps }: Operation, agent: NodeAgent): Promise<void> {
  for (const { step, node, state, attempt: number } of steps.all()) {
    if (node !== agent.node || state !== 'started' || step.startsWith('rollback')) continue;
    try {
      await agent.rpc.cancelTask({ operationId, taskId: taskIdOf(step, number) });
    } catch (thrown) {
      if (toStillpointError(thrown).code !== 'TASK_UNKNOWN') throw thrown;
    }
    steps.failed(step, node, 'cancelled by a later controller');
  }
}

const taskIdOf = (step: string, attemptNumber: number): string => `${step}-${attemptNumber}`;
