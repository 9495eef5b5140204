import { StillpointError } from '@stillpoint/shared/errors';
import { letStepBack } from '../priority/node.ts';
import { limitNode } from '../throttle/node.ts';
import { NodeCapture, type NodeCaptureOptions } from './node-capture.ts';

/** Images in the making, of operations that have this node. */
export interface Captures {
  /** That of an operation; undefined when it has none. */
  get(operationId: string): NodeCapture | undefined;
  /** Throws PART_NOT_FOUND when the operation has none, or none since the agent was started. */
  require(operationId: string): NodeCapture;
  /** Begins one, in the place of an earlier one of the same operation, which must be discarded. */
  begin(options: NodeCaptureOptions): NodeCapture;
  /** Discards that of an operation; nothing to do when there is none. Never throws. */
  forget(operationId: string): Promise<void>;
}

/** None yet. */
export function createCaptures(): Captures {
  const captures = new Map<string, NodeCapture>();
  return {
    get: (operationId) => captures.get(operationId),
    require: (operationId) => {
      const capture = captures.get(operationId);
      if (capture !== undefined) return capture;
      throw new StillpointError('PART_NOT_FOUND', `Operation ${operationId} has captured nothing on this node that could be published`);
    },
    begin: (options) => {
      const capture = new NodeCapture(options);
      captures.set(options.operationId, capture);
      limitNode(Number(options.options.throttle));
      letStepBack(options.options.priority);
      return capture;
    },
    forget: async (operationId) => {
      const capture = captures.get(operationId);
      captures.delete(operationId);
      if (captures.size === 0) {
        limitNode(0);
        letStepBack(undefined);
      }
      await capture?.discard();
    },
  };
}
