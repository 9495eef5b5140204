import type { TaskContext } from '../task/types.ts';

/**
 * Runs works at the same time, each with the context that it is given. When one fails, the others are aborted; its error is thrown once all
 * have ended, so that what they made can be removed.
 */
export async function together<T extends readonly unknown[]>(
  task: TaskContext,
  works: { readonly [K in keyof T]: (task: TaskContext) => Promise<T[K]> },
): Promise<T> {
  const abort = new AbortController();
  const within = { ...task, signal: AbortSignal.any([task.signal, abort.signal]) };
  const running = works.map((work) =>
    work(within).catch((error: unknown) => {
      abort.abort(error);
      throw error;
    }),
  );
  await Promise.allSettled(running);
  task.signal.throwIfAborted();
  if (abort.signal.aborted) throw abort.signal.reason;
  // Of each work its own result, in order.
  return (await Promise.all(running)) as unknown as T;
}
