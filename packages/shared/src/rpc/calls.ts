import type { EventEmitter } from 'node:events';
import type { ServerUnaryCall } from '@grpc/grpc-js';
import { StillpointError } from '../errors/index.ts';

/** What calls of every kind have in common. */
export type SurfaceCall = Pick<ServerUnaryCall<unknown, unknown>, 'metadata' | 'getPeer' | 'getDeadline' | 'getAuthContext'> & EventEmitter;

/** A signal that lives as long as its call. */
interface CallLife {
  readonly signal: AbortSignal;
  /** The handler has come to its end: what happens to the connection from now on is none of its business. */
  end(): void;
}

/** Every call that a server is serving. */
export interface CallRegistry {
  begin(call: SurfaceCall): CallLife;
  /** Aborts all calls, those that still come included, and resolves when every handler has ended. */
  close(): Promise<void>;
}

export function createCallRegistry(node: string): CallRegistry {
  const running = new Set<AbortController>();
  const idle = Promise.withResolvers<void>();
  let closing = false;
  const stopping = (): StillpointError => new StillpointError('CONNECTION_LOST', `the agent of ${node} is stopping`, { node });

  return {
    begin: (call) => {
      const life = new AbortController();
      running.add(life);
      if (closing) life.abort(stopping());
      const gone = (): void => life.abort(overdue(call) ? deadline(node) : new StillpointError('CANCELLED', 'the caller has gone'));
      const timer = deadlineTimer(call, () => life.abort(deadline(node)));
      call.once('cancelled', gone);
      return {
        signal: life.signal,
        end: () => {
          clearTimeout(timer);
          call.removeListener('cancelled', gone);
          running.delete(life);
          if (closing && running.size === 0) idle.resolve();
        },
      };
    },
    close: () => {
      closing = true;
      for (const life of running) life.abort(stopping());
      if (running.size === 0) idle.resolve();
      return idle.promise;
    },
  };
}

const deadline = (node: string): StillpointError => new StillpointError('DEADLINE', `${node} did not finish the call in time`, { node });

const overdue = (call: SurfaceCall): boolean => Number(call.getDeadline()) <= Date.now();

/** Rings at the deadline of a call. The library's own timer only ends the call once its last bytes have left. */
function deadlineTimer(call: SurfaceCall, ring: () => void): NodeJS.Timeout | undefined {
  const ms = Number(call.getDeadline()) - Date.now();
  return Number.isFinite(ms) ? setTimeout(ring, Math.max(0, ms)).unref() : undefined;
}
