import { StillpointError } from '@stillpoint/shared/errors';
import type { DrivenHold } from './hold.ts';
import type { Hold } from './types.ts';

/** Holds of operations: the one in force, and released ones until their operation gives the node back. */
export interface HoldRegistry {
  get(operationId: string): Hold | undefined;
  /** Throws HOLD_LOST when the operation never had one. */
  require(operationId: string): Hold;
}

/** The same, for those who drive the holds. */
export interface DrivenHolds extends HoldRegistry {
  get(operationId: string): DrivenHold | undefined;
  require(operationId: string): DrivenHold;
  /** Puts a new hold in the place of an earlier attempt of the same operation, which must have ended. */
  set(hold: DrivenHold): Promise<void>;
  /** Ends the operation's hold and closes its snapshots. */
  end(operationId: string): Promise<void>;
}

/** No holds yet. */
export function createHolds(): DrivenHolds {
  const holds = new Map<string, DrivenHold>();
  return {
    get: (operationId) => holds.get(operationId),
    require: (operationId) => {
      const hold = holds.get(operationId);
      if (hold !== undefined) return hold;
      throw new StillpointError('HOLD_LOST', `Operation ${operationId} has no hold on this node`);
    },
    set: async (hold) => {
      const before = holds.get(hold.operationId);
      if (before?.inForce) throw new StillpointError('NODE_BUSY', `Operation ${hold.operationId} holds this node already`);
      holds.set(hold.operationId, hold);
      await before?.dispose();
    },
    end: async (operationId) => {
      const hold = holds.get(operationId);
      holds.delete(operationId);
      await hold?.dispose();
    },
  };
}
