import { StillpointError, toStillpointError } from '@stillpoint/shared/errors';
import { durationOf } from '@stillpoint/shared/time';
import type { Hold } from '../hold/types.ts';
import type { TaskDefinition } from '../task/types.ts';
import { abandonCapture, recoverCapture, underWay } from './under-way.ts';

/**
 * Takes the image of this node's storage inside the still point, into a part that publish completes later.
 * Ends at once, with the reason, when the hold is lost: an image that was taken without it is worth nothing.
 */
export const captureTask: TaskDefinition<'capture'> = {
  run: async (agent, { setId, options }, task) => {
    const begunMs = agent.clock.monotonicMs();
    const hold = agent.holds.require(task.operationId);
    if (!hold.inForce) throw lostReason(hold);
    const signal = AbortSignal.any([task.signal, hold.lost]);
    try {
      const capture = await underWay(agent, { operationId: task.operationId, setId, ...(options && { options }) });
      await capture.take(hold, { ...task, signal });
      const took = durationOf(agent.clock.monotonicMs() - begunMs);
      const { position } = hold;
      return { result: { case: 'capture', value: { took, ...(position?.logBin ? { position } : {}) } } };
    } catch (error) {
      throw await abandonCapture(agent, task, setId, error);
    }
  },
  recover: recoverCapture,
};

const lostReason = (hold: Hold): StillpointError =>
  hold.lost.aborted
    ? toStillpointError(hold.lost.reason)
    : new StillpointError('HOLD_LOST', 'The hold was let go before the capture began');
