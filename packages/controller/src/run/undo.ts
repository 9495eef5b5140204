import { toStillpointError } from '@stillpoint/shared/errors';
import { durationOf } from '@stillpoint/shared/time';
import { onEveryNode } from '../agents/every-node.ts';
import type { TaskOrder } from '../agents/task.ts';
import { restartStoppedEngine } from './engine-rollback.ts';
import { cancelInDoubt, journaledTask } from './journaled-task.ts';
import { plannedFor, type RestoreRun, restoredAgents, wasBegun } from './restore-run.ts';

/**
 * Throws away what a restore has staged that will not be switched, and starts an engine that it had stopped. Never throws: what cannot be reached
 * is rolled back later.
 */
export async function discardStaged(run: RestoreRun): Promise<void> {
  const { agents, operation, plan } = run;
  const undisturbed = new AbortController().signal;
  const staged = restoredAgents(agents, plan).filter(({ node }) => wasBegun(run, 'stage', node));
  await onEveryNode(staged, undefined, async ({ node }) => {
    try {
      await rollbackNode(run, node, undisturbed);
    } catch (thrown) {
      operation.observe({ type: 'log', node, message: `what was staged could not be removed: ${toStillpointError(thrown).message}` });
    }
  });
  try {
    await restartStoppedEngine(run, undisturbed);
  } catch (thrown) {
    const { hint, message } = toStillpointError(thrown);
    operation.observe({ type: 'warning', node: '', message: `the engine could not be started again: ${message}`, hint });
  }
}

/**
 * Stops the server that ran, or may have run, on restored data. A task of the restore that is in doubt is stopped first. A node
 * that an earlier rollback may have brought back is left alone: its server may run on the old data.
 */
export async function stopSwitched(run: RestoreRun, node: string, signal: AbortSignal): Promise<void> {
  const { steps } = run.operation;
  const agent = run.agents.get(node);
  await cancelInDoubt(run.operation, agent);
  const undone = steps.get('rollback', node)?.state;
  if (undone === 'succeeded' || undone === 'started') return;
  // Whoever stopped it earlier cannot know what was started since.
  if (steps.get('rollback-stop', node)?.state === 'succeeded') steps.failed('rollback-stop', node, 'it may have been started since');
  await journaledTask(run.operation, agent, 'rollback-stop', signal, async () => ({ task: { case: 'stopServer', value: {} } }));
}

/**
 * Brings back on one node what was there before, and starts its server if the restore stopped it. A server that ran on data that
 * is gone cannot be started again.
 */
export async function rollbackNode(run: RestoreRun, node: string, signal: AbortSignal): Promise<void> {
  const { operation } = run;
  const agent = run.agents.get(node);
  await cancelInDoubt(operation, agent);
  const switched = wasBegun(run, 'switch', node);
  const hadData = plannedFor(run, node).replacesBytes > 0;
  const restartServer = hadData && (switched || wasBegun(run, 'stop', node));
  try {
    await journaledTask(operation, agent, 'rollback', signal, async () => ({ task: { case: 'rollback', value: { restartServer } } }));
  } catch (thrown) {
    const error = toStillpointError(thrown);
    // The restore never came to this node, or its traces are gone: that is where a rollback leads to.
    if (error.code !== 'NOTHING_TO_ROLL_BACK') throw error;
    if (restartServer && !switched) await journaledTask(operation, agent, 'rollback-start', signal, async () => startServer(run));
    operation.steps.succeeded('rollback', node);
  }
}

const startServer = ({ settings }: RestoreRun): Awaited<ReturnType<TaskOrder['spec']>> => ({
  task: { case: 'startServer', value: { timeout: durationOf(settings.startTimeout) } },
});
