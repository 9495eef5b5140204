import { StillpointError } from '@stillpoint/shared/errors';
import { PrecopyStorage } from '@stillpoint/shared/proto';
import { durationOf } from '@stillpoint/shared/time';
import type { TaskDefinition } from '../task/types.ts';
import { abandonCapture, recoverCapture, underWay } from './under-way.ts';

/**
 * Brings over what can be had while clients write. Run again (by another task of the same operation, before another attempt at the still
 * point), it brings that up to date.
 */
export const precopyTask: TaskDefinition<'precopy'> = {
  run: async (agent, { setId, options, storage }, task) => {
    const begunMs = agent.clock.monotonicMs();
    try {
      const what = partOf(storage);
      const beginning = { operationId: task.operationId, setId, takesOver: what === 'dbroots', ...(options && { options }) };
      const capture = await underWay(agent, beginning);
      const { bytes, changedBytes } = await capture.precopy(what, task);
      const took = durationOf(agent.clock.monotonicMs() - begunMs);
      return { result: { case: 'precopy', value: { bytes: BigInt(bytes), changedBytes: BigInt(changedBytes), took } } };
    } catch (error) {
      throw await abandonCapture(agent, task, setId, error);
    }
  },
  recover: recoverCapture,
};

/** Throws USAGE for what only a newer controller knows. */
function partOf(storage: PrecopyStorage): 'server' | 'dbroots' {
  if (storage === PrecopyStorage.SERVER) return 'server';
  if (storage === PrecopyStorage.DBROOTS) return 'dbroots';
  throw new StillpointError('USAGE', 'The task does not say what to bring over');
}
