import { createSecureContext } from 'node:tls';
import type { DescMethod, DescService, Message, MessageInitShape } from '@bufbuild/protobuf';
import { ChannelCredentials, Client as GrpcClient, Metadata, type ServiceError } from '@grpc/grpc-js';
import { StillpointError, toStillpointError } from '../errors/index.ts';
import { type Connector, connector } from './connect.ts';
import { CLIENT_CHANNEL, CONNECT_TIMEOUT_MS, PROTOCOL_VERSION, UNARY_TIMEOUT_MS } from './limits.ts';
import { readTlsMaterial } from './material.ts';
import { calledMethod, encode } from './messages.ts';
import { received, send, untilAborted } from './streams.ts';
import type { CallOptions, Client, ClientOptions, Connection, Target } from './types.ts';
import { agentProblem } from './verify.ts';
import { abortReason, fromStatus, PROTOCOL_KEY } from './wire.ts';

type Init = MessageInitShape<DescMethod['input']>;

/** What every call of a client works with. */
interface Line {
  readonly grpc: GrpcClient;
  readonly target: Target;
  readonly closed: AbortSignal;
  readonly connected: Connector;
}

/**
 * A client of the service that runs at `target`, over mutual TLS 1.3. Connects on the first call, and again whenever the
 * connection was lost. Throws CONFIG_FILE_UNREADABLE or TLS_REFUSED for its own certificate at once; what concerns the
 * other side is thrown by the calls: NODE_UNREACHABLE, TLS_REFUSED or NODE_MISMATCH before a call began, CONNECTION_LOST
 * and DEADLINE later, else what the handler threw.
 *
 * Streams start when their iteration does, and end with it.
 */
export function createClient<S extends DescService>(service: S, target: Target, options: ClientOptions): Connection<S> {
  const material = readTlsMaterial(options.tls, options.cluster);
  const { ca, cert, key } = material;
  const credentials = ChannelCredentials.createFromSecureContext(createSecureContext({ ca, cert, key, minVersion: 'TLSv1.3' }), {
    checkServerIdentity: (_host, certificate) => agentProblem(certificate.subjectaltname, target, options.cluster),
  });
  const grpc = new GrpcClient(`dns:${target.address}`, credentials, CLIENT_CHANNEL);
  const closing = new AbortController();
  const line: Line = { grpc, target, closed: closing.signal, connected: connector(grpc.getChannel(), target, material) };
  return {
    client: Object.fromEntries(service.methods.map((method) => [method.localName, callerOf(method, line)])) as Client<S>,
    close: () => {
      closing.abort(new StillpointError('CANCELLED', `the connection to ${target.node} was closed`, { node: target.node }));
      grpc.close();
    },
  };
}

function callerOf(method: DescMethod, line: Line): unknown {
  const { methodKind } = method;
  if (methodKind === 'unary') return (request: Init, options: CallOptions = {}) => unary(method, line, request, options);
  if (methodKind === 'server_streaming') return (request: Init, options: CallOptions = {}) => serverStream(method, line, request, options);
  return (requests: AsyncIterable<Init>, options: CallOptions = {}) => bidiStream(method, line, requests, options);
}

async function unary(method: DescMethod, line: Line, request: Init, options: CallOptions): Promise<Message> {
  const bytes = requestBytes(method, line, request);
  const call = await begin(method, line, { timeoutMs: UNARY_TIMEOUT_MS, ...options });
  const { path, serialize, deserialize } = calledMethod(method);
  const answer = Promise.withResolvers<Message>();
  const running = line.grpc.makeUnaryRequest(path, serialize, deserialize, bytes, call.metadata, call.terms, (error, response) =>
    response === undefined ? answer.reject(error) : answer.resolve(response),
  );
  try {
    return await untilAborted(call.signal, answer.promise);
  } catch (error) {
    running.cancel();
    throw failure(error, method, line, call.signal);
  }
}

async function* serverStream(method: DescMethod, line: Line, request: Init, options: CallOptions): AsyncGenerator<Message> {
  const bytes = requestBytes(method, line, request);
  const call = await begin(method, line, options);
  const { path, serialize, deserialize } = calledMethod(method);
  const running = line.grpc.makeServerStreamRequest(path, serialize, deserialize, bytes, call.metadata, call.terms);
  // The iteration below sees errors; one that comes after its end has no other listener and would end the process.
  running.on('error', () => {});
  try {
    yield* received<Message>(running, call.signal);
  } catch (error) {
    throw failure(error, method, line, call.signal);
  } finally {
    running.cancel();
  }
}

async function* bidiStream(method: DescMethod, line: Line, requests: AsyncIterable<Init>, options: CallOptions): AsyncGenerator<Message> {
  const call = await begin(method, line, options);
  const { path, serialize, deserialize } = calledMethod(method);
  const running = line.grpc.makeBidiStreamRequest(path, serialize, deserialize, call.metadata, call.terms);
  running.on('error', () => {});
  const ended = new AbortController();
  const sending = new AbortController();
  const life = AbortSignal.any([call.signal, sending.signal]);
  pump(requests, (request) => send(running, encode(method.input, request), ended.signal), ended.signal).then(
    () => running.end(),
    (error: unknown) => sending.abort(toStillpointError(error).on(line.target.node)),
  );
  try {
    yield* received<Message>(running, life);
  } catch (error) {
    throw failure(error, method, line, life);
  } finally {
    ended.abort();
    running.cancel();
  }
}

/** Sends what comes until nothing more does or the call has ended; then the source is told, not waited for. */
async function pump(requests: AsyncIterable<Init>, sendOne: (request: Init) => Promise<void>, ended: AbortSignal): Promise<void> {
  const source = requests[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await untilAborted(ended, Promise.resolve(source.next()));
      if (next.done === true) return;
      await sendOne(next.value);
    }
  } finally {
    Promise.resolve(source.return?.()).catch(() => {});
  }
}

function requestBytes(method: DescMethod, { target }: Line, request: Init): Buffer {
  try {
    return encode(method.input, request);
  } catch (error) {
    throw toStillpointError(error).on(target.node);
  }
}

/** Sees to a connection, and settles what the call is begun with. */
async function begin(method: DescMethod, line: Line, { signal, timeoutMs }: CallOptions) {
  const deadline = timeoutMs === undefined ? undefined : Date.now() + timeoutMs;
  const life = signal === undefined ? line.closed : AbortSignal.any([signal, line.closed]);
  try {
    if (life.aborted) throw life.reason;
    await line.connected(life, Math.min(timeoutMs ?? Infinity, CONNECT_TIMEOUT_MS));
  } catch (error) {
    throw failure(error, method, line, life);
  }
  const metadata = new Metadata();
  metadata.set(PROTOCOL_KEY, PROTOCOL_VERSION);
  return { metadata, signal: life, terms: deadline === undefined ? {} : { deadline } };
}

/** Whatever went wrong in a call, as its caller gets it. An abort is answered with its own reason. */
function failure(error: unknown, method: DescMethod, { target }: Line, signal: AbortSignal): StillpointError {
  if (signal.aborted) return abortReason(signal);
  if (error instanceof StillpointError) return error;
  return isServiceError(error) ? fromStatus(error, target, method.name) : toStillpointError(error).on(target.node);
}

const isServiceError = (error: unknown): error is ServiceError => error instanceof Error && 'metadata' in error && 'details' in error;
