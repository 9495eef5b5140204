import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import type { HttpAnswer } from './answers.ts';
import { type CmapiPlace, connectToCmapi } from './connect.ts';

/** Version of the interface, which has not changed since cmapi exists. */
const BASE = '/cmapi/0.4.0';

export interface CmapiRequest {
  readonly method: 'GET' | 'PUT';
  /** Below the base, `/cluster/status`. */
  readonly path: string;
  readonly body?: Readonly<Record<string, unknown>>;
}

/** A request that was sent. */
export interface SentRequest {
  /** Rejects with the system's error, or the reason of the signal. */
  readonly answer: Promise<HttpAnswer>;
  /** Lets this process end while the answer is still awaited. */
  unref(): void;
}

/**
 * Connects and sends a request; returns once it is on its way. `connecting` bounds only that: what was sent goes on in cmapi whatever
 * becomes of the connection. `answering` ends the wait for the answer. Throws as `connectToCmapi` does.
 */
export async function sendToCmapi(
  place: CmapiPlace,
  key: string,
  { method, path, body }: CmapiRequest,
  { connecting, answering }: { readonly connecting: AbortSignal; readonly answering: AbortSignal },
): Promise<SentRequest> {
  const socket = await connectToCmapi(place, connecting);
  const payload = body === undefined ? '' : JSON.stringify(body);
  const call = request({
    createConnection: () => socket,
    method,
    path: `${BASE}${path}`,
    setHost: false,
    signal: answering,
    headers: {
      Host: new URL(place.url).host,
      'x-api-key': key,
      // A PUT without this type is refused with 415.
      'Content-Type': 'application/json',
      'Content-Length': Buffer.byteLength(payload),
    },
  });
  const answered = Promise.withResolvers<HttpAnswer>();
  call.on('error', answered.reject);
  call.on('response', (response) => {
    text(response).then((said) => answered.resolve({ status: response.statusCode ?? 0, body: said }), answered.reject);
  });
  call.end(payload);
  const answer = answered.promise.catch((error: unknown) => {
    throw answering.aborted ? answering.reason : error;
  });
  // Not everybody who sends waits for the answer.
  answer.catch(() => undefined);
  return { answer, unref: () => void socket.unref() };
}
