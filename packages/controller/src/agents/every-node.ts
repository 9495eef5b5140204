import { StillpointError, toStillpointError } from '@stillpoint/shared/errors';
import { abortReason, isEcho, type Scope } from './scope.ts';

/**
 * Does something on every node in parallel and waits until all have settled: nothing is left running. Results are in the
 * order of the items. With a scope, the first failure stops the others by its signal, which `work` must obey.
 *
 * Throws the first failure, bound to its node; its message mentions the other ones.
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
  throw failures.length > 0 || scope === undefined ? combined(failures) : abortReason(scope.signal);
}

/** One error of several: the first, which says what the others are. */
function combined(failures: readonly StillpointError[]): StillpointError {
  const [first, ...others] = failures;
  if (first === undefined) throw new Error('a failure without an error');
  if (others.length === 0) return first;
  const also = others.map((error) => `${error.node}: ${error.code}: ${error.message}`).join('; ');
  return new StillpointError(first.code, `${first.message} (also ${also})`, {
    hint: first.hint,
    node: first.node,
    blockers: failures.flatMap((error) => error.blockers),
    cause: first,
  });
}
