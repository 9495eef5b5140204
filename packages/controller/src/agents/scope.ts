import { isAbort, type StillpointError, toStillpointError } from '@stillpoint/shared/errors';
import { restated } from './restated.ts';

/** Work that stands or falls together: the first failure stops all of it. */
export interface Scope {
  /** Aborted by the first failure, with it as reason, or when the surrounding work is. */
  readonly signal: AbortSignal;
  /** Reports a failure. Those after the first are ignored. */
  fail(error: StillpointError): void;
}

/** A scope within the work that `surrounding` stops. */
export function openScope(surrounding: AbortSignal): Scope {
  const own = new AbortController();
  return { signal: AbortSignal.any([surrounding, own.signal]), fail: (error) => own.abort(error) };
}

/** Why a signal was aborted: its reason if that is a StillpointError, else CANCELLED. */
export const abortReason = (signal: AbortSignal): StillpointError => toStillpointError(signal.reason, 'CANCELLED');

/** True when `error` only says that the signal was aborted. */
export const isEcho = (error: unknown, signal: AbortSignal): boolean => signal.aborted && (error === signal.reason || isAbort(error));

/** The same error with a message that does not begin with its node: whoever shows it names the node anyway. */
export function withoutNode(error: StillpointError): StillpointError {
  const { message, node } = error;
  if (node === undefined || !message.startsWith(node)) return error;
  const rest = message.slice(node.length);
  // Of 'db1 (host:port): why', the address stays.
  const bare = rest.replace(/^: |^ \(([^()]*)\)(?=: )/, '$1');
  return bare === rest ? error : restated(error, { message: bare });
}

/** What `work` comes to, or a rejection with the signal's reason as soon as it is aborted; `work` goes on then. */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(abortReason(signal));
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
