/** What happens instead when a point is reached. The signal is aborted when whoever waits there is to stop. */
export type Fault = (signal: AbortSignal) => Promise<void> | void;

/** Points in an agent's work at which a test may interfere. */
export interface Faults {
  /** From now on, this happens at a point. */
  at(point: string, fault: Fault): void;
  /** This happens the next time only. */
  once(point: string, fault: Fault): void;
  /** Lets whatever comes to a point wait there until it is told to go on, or to stop. */
  gate(point: string): Gate;
  /** Nothing is arranged any more. */
  clear(): void;
  /** Called by the agent: lets happen what was arranged. */
  reach(point: string, signal: AbortSignal): Promise<void>;
}

export interface Gate {
  /** Resolves when somebody waits there. */
  readonly reached: Promise<void>;
  open(): void;
  /** Lets it fail. */
  fail(error: Error): void;
}

export function faults(): Faults {
  const arranged = new Map<string, Fault>();
  const at = (point: string, fault: Fault): void => void arranged.set(point, fault);
  return {
    at,
    once: (point, fault) =>
      at(point, async (signal) => {
        arranged.delete(point);
        await fault(signal);
      }),
    gate: (point) => {
      const reached = Promise.withResolvers<void>();
      const opened = Promise.withResolvers<void>();
      at(point, async (signal) => {
        reached.resolve();
        await unlessAborted(opened.promise, signal);
      });
      return { reached: reached.promise, open: () => opened.resolve(), fail: opened.reject };
    },
    clear: () => arranged.clear(),
    reach: async (point, signal) => {
      await arranged.get(point)?.(signal);
    },
  };
}

/** Waits, or rejects with the signal's reason. */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  return Promise.race([work, aborted.promise]).finally(() => signal.removeEventListener('abort', abort));
}

/** Never comes, until the signal is aborted. */
export const forever: Fault = (signal) => unlessAborted(new Promise<void>(() => {}), signal);
