import { StillpointError } from '@stillpoint/shared/errors';
import { requireMode } from './answers.ts';
import type { CmapiPlace } from './connect.ts';
import { sendToCmapi } from './request.ts';

/** A mode of the cluster in the words of cmapi. */
export type Mode = 'readonly' | 'readwrite';

/** cmapi itself gives up after 300 s in which it cannot begin a transaction on all of its nodes. */
const LONGEST_MS = 330_000;

/** Requests that this process gave up waiting for and that cmapi may still carry out, by its address. */
const underWay = new Map<string, Mode>();

/** Throws ENGINE_NOT_READY while cmapi may still carry out an earlier request: what it does then would void whatever comes next. */
export function requireIdle({ url }: CmapiPlace): void {
  const mode = underWay.get(url);
  if (mode === undefined) return;
  throw new StillpointError('ENGINE_NOT_READY', `cmapi at ${url} has not answered an earlier request to make the engine ${mode}`, {
    hint: 'It waits for a node that is down or for another operation, five minutes at most. Try again then.',
  });
}

/**
 * Has cmapi set the mode. Throws an Error with its words when it did not, or the signal's reason. When the signal came first, the request
 * goes on all the same: cmapi cannot be told to forget it. So its answer is waited for in the background, and `late` called after it.
 */
export async function setMode(
  place: CmapiPlace,
  key: string,
  { mode, late }: { readonly mode: Mode; readonly late: () => Promise<void> },
  signal: AbortSignal,
): Promise<void> {
  requireIdle(place);
  const bounds = { connecting: signal, answering: AbortSignal.timeout(LONGEST_MS) };
  const sent = await sendToCmapi(place, key, { method: 'PUT', path: '/cluster/mode-set', body: { mode } }, bounds);
  const gaveUp = Promise.withResolvers<undefined>();
  const giveUp = (): void => gaveUp.resolve(undefined);
  signal.addEventListener('abort', giveUp, { once: true });
  if (signal.aborted) giveUp();
  try {
    const answer = await Promise.race([sent.answer, gaveUp.promise]);
    if (answer !== undefined) return requireMode(answer, mode);
  } finally {
    signal.removeEventListener('abort', giveUp);
  }
  sent.unref();
  underWay.set(place.url, mode);
  void sent.answer
    .then(late, late)
    .catch(() => undefined)
    .finally(() => underWay.delete(place.url));
  throw signal.reason;
}
