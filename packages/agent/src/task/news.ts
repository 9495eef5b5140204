/** Wakes those who wait for something to happen. */
export interface News {
  /** Something has happened. */
  tell(): void;
  /** Resolves when something happens from now on; rejects with the signal's reason. Ask before looking, or news in between are missed. */
  next(signal: AbortSignal): Promise<void>;
}

/** Nothing has happened yet. */
export function createNews(): News {
  let coming = Promise.withResolvers<void>();
  return {
    tell: () => {
      coming.resolve();
      coming = Promise.withResolvers();
    },
    next: (signal) => untilAborted(coming.promise, signal),
  };
}

function untilAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
