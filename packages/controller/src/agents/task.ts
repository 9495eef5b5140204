import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { fromErrorDetail, StillpointError, toStillpointError } from '@stillpoint/shared/errors';
import {
  type TaskEnded,
  type TaskResult,
  TaskResultSchema,
  type TaskSpecSchema,
  TaskState,
  type WatchTaskResponse,
} from '@stillpoint/shared/proto';
import type { Clock } from '@stillpoint/shared/time';
import type { Observer } from '../events.ts';
import { type Patience, patience } from './contact.ts';
import type { NodeAgent } from './pool.ts';
import { abortReason, withoutNode } from './scope.ts';

/** How long to look for an agent whose task may still be running there, ms: enough for its service to be restarted. */
const PATIENCE_MS = 30_000;
/** A call that lasted longer than any attempt to connect, ms. */
const SURELY_CONNECTED_MS = 10_000;
/** How long to wait for a cancelled task to end, ms. Afterwards the agent is left to end it with the claim. */
const CANCEL_TIMEOUT_MS = 15_000;

/** Long work to be done on one node. */
export interface TaskOrder {
  readonly operationId: string;
  /** Starting the same task again attaches to it. */
  readonly taskId: string;
  /** Made right before the task is started, so that a ticket in it is fresh. */
  readonly spec: () => Promise<MessageInitShape<typeof TaskSpecSchema>>;
  /** It may have been started before, by us or by a controller that died: look first. */
  readonly mayRun?: boolean;
}

export interface TaskWatch {
  readonly clock: Clock;
  readonly observe: Observer;
  readonly signal: AbortSignal;
  readonly patienceMs?: number;
}

/**
 * Has an agent do long work and waits for its end. A connection that drops is made again for a while (30 s without
 * contact), and the work goes on meanwhile. On abort the task is cancelled and has ended, as far as the agent can be reached.
 *
 * Throws what the task failed with, TASK_INTERRUPTED, or the signal's reason.
 */
export async function runTask(agent: NodeAgent, order: TaskOrder, watch: TaskWatch): Promise<TaskResult> {
  try {
    return resultOf(agent, order, await followToEnd(agent, order, watch));
  } catch (error) {
    if (!watch.signal.aborted) throw error;
    await cancelTask(agent, order);
    throw abortReason(watch.signal);
  }
}

async function followToEnd(agent: NodeAgent, order: TaskOrder, watch: TaskWatch): Promise<TaskEnded> {
  const { operationId, taskId } = order;
  const { clock, observe, signal } = watch;
  const patienceMs = watch.patienceMs ?? PATIENCE_MS;
  const tries = patience(clock, patienceMs, (error) => {
    const again = `trying again for up to ${Math.ceil(patienceMs / 1_000)} s`;
    observe({ type: 'log', node: agent.node, message: `the agent does not answer (${withoutNode(error).message}); ${again}` });
  });
  // To be started; once the agent has confirmed that, it is only watched: starting a failed task would run it again.
  let spec = order.mayRun === true ? undefined : await order.spec();
  let confirmed = false;
  for (;;) {
    try {
      if (signal.aborted) throw abortReason(signal);
      if (spec !== undefined) await agent.rpc.startTask({ operationId, taskId, spec }, { signal });
      confirmed ||= spec !== undefined;
      spec = undefined;
      return await follow(agent, taskId, agent.rpc.watchTask({ operationId, taskId }, { signal }), watch, tries);
    } catch (thrown) {
      const error = toStillpointError(thrown);
      if (error.code === 'TASK_UNKNOWN' && !confirmed) spec = await order.spec();
      else await tries.wait(error, signal);
    }
  }
}

async function follow(
  { node }: NodeAgent,
  taskId: string,
  events: AsyncIterable<WatchTaskResponse>,
  { clock, observe }: TaskWatch,
  tries: Patience,
): Promise<TaskEnded> {
  const begunAt = clock.monotonicMs();
  try {
    for await (const { event } of events) {
      tries.renew();
      if (event.case === 'ended') return event.value;
      report(node, event, observe);
    }
  } finally {
    // A task may say nothing for hours; that long, only a connection that stood can have lasted.
    if (clock.monotonicMs() - begunAt > SURELY_CONNECTED_MS) tries.renew();
  }
  throw new StillpointError('CONNECTION_LOST', `${node}: the agent ended its report of ${taskId} early`, { node });
}

function report(node: string, event: WatchTaskResponse['event'], observe: Observer): void {
  if (event.case === 'progress') {
    const { step, bytesDone, bytesTotal } = event.value;
    observe({ type: 'progress', node, step, bytesDone: Number(bytesDone), bytesTotal: Number(bytesTotal) });
  } else if (event.case === 'log') {
    observe({ type: 'log', node, message: event.value.message });
  }
}

function resultOf(agent: NodeAgent, { taskId }: TaskOrder, ended: TaskEnded): TaskResult {
  if (ended.state === TaskState.SUCCEEDED) return ended.result ?? create(TaskResultSchema);
  if (ended.error !== undefined) throw fromErrorDetail(ended.error, agent.node);
  const why = ended.state === TaskState.CANCELLED ? 'was cancelled on the node' : 'was interrupted: the agent was stopped or restarted';
  throw new StillpointError('TASK_INTERRUPTED', `${agent.node}: ${taskId} ${why}`, { node: agent.node });
}

async function cancelTask(agent: NodeAgent, { operationId, taskId }: TaskOrder): Promise<void> {
  try {
    await agent.rpc.cancelTask({ operationId, taskId }, { timeoutMs: CANCEL_TIMEOUT_MS });
  } catch {
    // Unknown there, or the agent is out of reach: then it ends the task when the claim is given back or runs out.
  }
}
