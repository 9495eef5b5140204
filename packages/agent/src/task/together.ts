/**
 * Runs works at the same time, each with a signal that is also aborted when another one fails. Returns or throws only when all have ended, so
 * that what they made can be removed: the reason of `signal` if that was aborted, else what failed first.
 */
export async function together<T extends readonly unknown[]>(
  signal: AbortSignal,
  works: { readonly [K in keyof T]: (signal: AbortSignal) => Promise<T[K]> },
): Promise<T> {
  const failed = new AbortController();
  const within = AbortSignal.any([signal, failed.signal]);
  const running = works.map((work) =>
    work(within).catch((error: unknown) => {
      failed.abort(error);
      throw error;
    }),
  );
  await Promise.allSettled(running);
  signal.throwIfAborted();
  failed.signal.throwIfAborted();
  // Of each work its own result, in order.
  return (await Promise.all(running)) as unknown as T;
}
