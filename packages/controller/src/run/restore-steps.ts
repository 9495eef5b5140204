import { StillpointError } from '@stillpoint/shared/errors';
import { durationOf } from '@stillpoint/shared/time';
import type { TaskOrder } from '../agents/task.ts';
import { type RestoreStep, stepName } from '../plan/steps.ts';
import { requireFit } from './fitness.ts';
import { journaledTask } from './journaled-task.ts';
import { plannedFor, type RestoreRun, wasBegun } from './restore-run.ts';
import { seedBrm } from './seed.ts';
import { stageSpec } from './stage-spec.ts';

type StepOf<K extends RestoreStep['kind']> = Extract<RestoreStep, { kind: K }>;

/** Carries out one step, unless it was done before under that name. The signal stops it. */
export type RestoreExecutor<K extends RestoreStep['kind']> = (
  run: RestoreRun,
  step: StepOf<K>,
  signal: AbortSignal,
  name: string,
) => Promise<void>;

/** One executor per kind of step; a kind without one does not compile. */
const EXECUTORS = {
  // A node that has begun to stage shows the traces of this very restore, which a check objects to.
  check: async (run, { node }, signal) => {
    if (!wasBegun(run, 'stage', node)) await requireFit(run.agents.get(node), 'restore', signal);
  },
  stage: (run, { node }, signal, name) => task(run, node, name, signal, () => stageSpec(run, node)),
  stop: (run, { node }, signal, name) => task(run, node, name, signal, async () => ({ task: { case: 'stopServer', value: {} } })),
  'stop-engine': (run, { last, node, stage }, signal, name) =>
    task(run, node, name, signal, async () => ({ task: { case: 'stopEngine', value: { stage, last } } })),
  switch: (run, { node }, signal, name) => task(run, node, name, signal, async () => ({ task: { case: 'switch', value: {} } })),
  start: (run, { node }, signal, name) =>
    task(run, node, name, signal, async () => ({ task: { case: 'startServer', value: { timeout: startTimeout(run) } } })),
  replicate: (run, { node }, signal, name) => task(run, node, name, signal, async () => replicateSpec(run, node)),
  'load-brm': (run, { from, node }, signal, name) =>
    task(run, node, name, signal, async () => ({
      task: { case: 'loadBrm', value: from === '' ? {} : { primaryNode: from, primary: await seedBrm(run, from) } },
    })),
  'start-engine': (run, { node, stage }, signal, name) =>
    task(run, node, name, signal, async () => ({ task: { case: 'startEngine', value: { stage, timeout: startTimeout(run) } } })),
  'prove-engine': (run, { node }, signal, name) =>
    task(run, node, name, signal, async () => ({ task: { case: 'proveEngine', value: { timeout: startTimeout(run) } } })),
} satisfies { readonly [K in RestoreStep['kind']]: RestoreExecutor<K> };

/** Carries out one step of a restore; `prefix` tells it in the journal from the step of the same name on the way there. */
export function executeStep(run: RestoreRun, step: RestoreStep, signal: AbortSignal, prefix: string): Promise<void> {
  const execute = EXECUTORS[step.kind] as RestoreExecutor<RestoreStep['kind']>;
  return execute(run, step, signal, `${prefix}${stepName(step)}`);
}

type Spec = Awaited<ReturnType<TaskOrder['spec']>>;

async function task(run: RestoreRun, node: string, name: string, signal: AbortSignal, spec: TaskOrder['spec']): Promise<void> {
  await journaledTask(run.operation, run.agents.get(node), name, signal, spec);
}

const startTimeout = ({ settings }: RestoreRun) => durationOf(settings.startTimeout);

function replicateSpec(run: RestoreRun, node: string): Spec {
  const { gtidPosition, replicateFrom } = plannedFor(run, node);
  if (replicateFrom === undefined) throw new StillpointError('INTERNAL', `${node} replicates from nobody`);
  const { host, port } = replicateFrom;
  return { task: { case: 'replicate', value: { host, port, gtidPosition, timeout: startTimeout(run) } } };
}
