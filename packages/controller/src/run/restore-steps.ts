import { StillpointError } from '@stillpoint/shared/errors';
import { durationOf } from '@stillpoint/shared/time';
import type { NodeAgent } from '../agents/pool.ts';
import type { TaskOrder } from '../agents/task.ts';
import type { RestoreStep } from '../plan/steps.ts';
import { requireFit } from './fitness.ts';
import { journaledTask } from './journaled-task.ts';
import { plannedFor, type RestoreRun, wasBegun } from './restore-run.ts';

/** Carries out one step, unless it was done before. The signal stops it. */
export type RestoreExecutor = (run: RestoreRun, step: RestoreStep, signal: AbortSignal) => Promise<void>;

/** A seed is asked for once per shard, as the one before it has come: a large part takes hours. */
const TICKET_VALID_MS = 12 * 3_600_000;

/** One executor per kind of step; a kind without one does not compile. */
export const restoreExecutors = {
  // A node that has begun to stage shows the traces of this very restore, which a check objects to.
  check: async (run, { node }, signal) => {
    if (!wasBegun(run, 'stage', node)) await requireFit(run.agents.get(node), 'restore', signal);
  },
  stage: (run, step, signal) => task(run, step, signal, () => stageSpec(run, step.node)),
  stop: (run, step, signal) => task(run, step, signal, async () => ({ task: { case: 'stopServer', value: {} } })),
  switch: (run, step, signal) => task(run, step, signal, async () => ({ task: { case: 'switch', value: {} } })),
  start: (run, step, signal) => task(run, step, signal, async () => startSpec(run)),
  replicate: (run, step, signal) => task(run, step, signal, async () => replicateSpec(run, step.node)),
} satisfies { readonly [K in RestoreStep['kind']]: RestoreExecutor };

type Spec = Awaited<ReturnType<TaskOrder['spec']>>;

async function task(run: RestoreRun, { kind, node }: RestoreStep, signal: AbortSignal, spec: TaskOrder['spec']): Promise<void> {
  await journaledTask(run.operation, run.agents.get(node), kind, signal, spec);
}

async function stageSpec(run: RestoreRun, node: string): Promise<Spec> {
  const { gtidPosition, image, imageSha256, ownPartSha256, restoreConfiguration } = plannedFor(run, node);
  const { setId } = run.plan;
  if (run.leftOut.includes(image)) {
    throw new StillpointError('RESTORE_REFUSED', `the image of ${node} lies on ${image}, which is left out`, {
      node,
      hint: `Leave ${node} out too, or bring ${image} back.`,
    });
  }
  const value = {
    setId,
    sourceNode: image,
    partSha256: imageSha256,
    gtidPosition,
    prepareMemoryBytes: BigInt(run.settings.prepareMemoryMiB) * 1024n * 1024n,
    restoreConfiguration,
    ownPartSha256: restoreConfiguration && image !== node ? ownPartSha256 : '',
    ...(image === node ? {} : { seed: await seedFrom(run.agents.get(image), run.operation.id, setId) }),
  };
  return { task: { case: 'stage', value } };
}

async function seedFrom(agent: NodeAgent, operationId: string, setId: string): Promise<{ address: string; ticket: string }> {
  const { ticket } = await agent.rpc.grantSeed({ operationId, setId, validFor: durationOf(TICKET_VALID_MS) });
  return { address: agent.address, ticket };
}

const startSpec = ({ settings }: RestoreRun): Spec => ({
  task: { case: 'startServer', value: { timeout: durationOf(settings.startTimeout) } },
});

function replicateSpec(run: RestoreRun, node: string): Spec {
  const { gtidPosition, replicateFrom } = plannedFor(run, node);
  if (replicateFrom === undefined) throw new Error(`${node} replicates from nobody`);
  const { host, port } = replicateFrom;
  return { task: { case: 'replicate', value: { host, port, gtidPosition, timeout: durationOf(run.settings.startTimeout) } } };
}
