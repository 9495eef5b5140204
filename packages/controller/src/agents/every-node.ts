import { StillpointError, toStillpointError } from '@stillpoint/shared/errors';
import { abortReason, isEcho, type Scope, withoutNode } from './scope.ts';

/**
 * Does something on every node in parallel and waits until all have settled: nothing is left running. Results are in the
 * order of the items. With a scope, the first failure stops the others by its signal, which `work` must obey.
 *
 * Throws the first failure, bound to its node, or what stopped the scope; its message mentions the other failures.
 */
export async function onEveryNode<T extends { readonly node: string }, R>(
  items: readonly T[],
  scope: Scope | undefined,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const failures: StillpointError[] = [];
  const settled = await Promise.allSettled(
    items.map(async (item) => {
      try {
        return await work(item);
      } catch (thrown) {
        const error = toStillpointError(thrown).on(item.node);
        if (scope === undefined || !isEcho(thrown, scope.signal)) failures.push(error);
        scope?.fail(error);
        throw error;
      }
    }),
  );
  if (settled.every((result) => result.status === 'fulfilled')) return settled.map((result) => result.value);
  // What stopped the scope is the cause, be it the first failure in here or something outside; later failures follow from it.
  const cause = scope?.signal.aborted ? abortReason(scope.signal) : failures[0];
  if (cause === undefined) throw new Error('a failure without an error');
  throw withOthers(
    cause,
    failures.filter((error) => error !== cause),
  );
}

/** One error of several: the cause, which says what the others are. */
function withOthers(cause: StillpointError, others: readonly StillpointError[]): StillpointError {
  if (others.length === 0 || cause.code === 'CANCELLED') return cause;
  const also = others.map((error) => `${error.node}: ${error.code}: ${withoutNode(error).message}`).join('; ');
  return new StillpointError(cause.code, `${cause.message} (also ${also})`, {
    hint: cause.hint,
    node: cause.node,
    blockers: [cause, ...others].flatMap((error) => error.blockers),
    tableLocks: [cause, ...others].flatMap((error) => error.tableLocks),
    cause,
  });
}
