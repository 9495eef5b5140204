/** Work that a signal ends by `end`, which ends what the work waits for. Throws what the work throws, or the signal's reason once that is aborted. */
export async function endedBy<T>(signal: AbortSignal, end: () => unknown, work: () => Promise<T>): Promise<T> {
  const onAbort = (): void => void end();
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await work();
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
