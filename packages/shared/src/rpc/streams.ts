import type { Readable, Writable } from 'node:stream';

/**
 * Writes one message and resolves when the transport has taken it: the window of the other side is what paces a
 * writer, and at most one message waits in memory. Rejects with the signal's reason when it is aborted first.
 */
export function send(stream: Writable, message: unknown, signal: AbortSignal): Promise<void> {
  return untilAborted(signal, new Promise((resolve, reject) => stream.write(message, (error) => (error ? reject(error) : resolve()))));
}

/**
 * Messages of a stream, read on only as they are taken. Leaves the stream open, for the writable half of a duplex.
 * Throws the signal's reason when it is aborted.
 */
export async function* received<T>(stream: Readable, signal: AbortSignal): AsyncGenerator<T> {
  const messages: AsyncIterator<T> = stream.iterator({ destroyOnReturn: false });
  try {
    for (;;) {
      const { done, value } = await untilAborted(signal, messages.next());
      if (done) return;
      yield value;
    }
  } finally {
    // May wait for the pending read, which ends with the stream; nobody need wait for that.
    messages.return?.().catch(() => {});
  }
}

/** What `work` comes to, or a rejection with the signal's reason when it is aborted first. */
export function untilAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
