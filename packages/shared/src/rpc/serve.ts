import type { DescMethod, DescService, Message, MessageInitShape } from '@bufbuild/protobuf';
import type { ServerDuplexStream, ServerUnaryCall, ServerWritableStream, sendUnaryData, UntypedHandleCall } from '@grpc/grpc-js';
import { StillpointError } from '../errors/index.ts';
import type { CallRegistry, SurfaceCall } from './calls.ts';
import { describePeer, parseIdentity } from './identity.ts';
import { PROTOCOL_VERSION } from './limits.ts';
import { encode } from './messages.ts';
import { received, send } from './streams.ts';
import type { CallContext, Peer, ServerOptions } from './types.ts';
import { causeOf, PROTOCOL_KEY, toStatus } from './wire.ts';

type Init = MessageInitShape<DescMethod['output']>;
type Unary = (request: Message, context: CallContext) => Promise<Init>;
type ServerStream = (request: Message, context: CallContext) => AsyncIterable<Init>;
type BidiStream = (requests: AsyncIterable<Message>, context: CallContext) => AsyncIterable<Init>;
type UnaryCall = ServerUnaryCall<Message, Buffer>;
type OutCall = ServerWritableStream<Message, Buffer> | ServerDuplexStream<Message, Buffer>;

/** The handler that grpc-js calls for a method: admits the caller, lets the implementation work, ends the call. */
export function serveMethod<S extends DescService>(method: DescMethod, options: ServerOptions<S>, calls: CallRegistry): UntypedHandleCall {
  const implementation: unknown = options.implementation[method.localName as keyof S['method']];

  const conduct = async <T>(call: SurfaceCall, work: (context: CallContext) => Promise<T>): Promise<T> => {
    const life = calls.begin(call);
    try {
      return await work({ signal: life.signal, peer: admit(call, method, options) });
    } catch (error) {
      throw causeOf(error, life.signal);
    } finally {
      life.end();
    }
  };
  const unary = (call: UnaryCall, reply: sendUnaryData<Buffer>): void =>
    void conduct(call, async (context) => encode(method.output, await (implementation as Unary)(call.request, context))).then(
      (response) => reply(null, response),
      (error: unknown) => reply(toStatus(error, options.node)),
    );
  const stream = (call: OutCall): void =>
    void conduct(call, async (context) => {
      const responses =
        'request' in call
          ? (implementation as ServerStream)(call.request, context)
          : (implementation as BidiStream)(received(call, context.signal), context);
      for await (const response of responses) await send(call, encode(method.output, response), context.signal);
    }).then(
      () => call.end(),
      (error: unknown) => call.emit('error', toStatus(error, options.node)),
    );
  return method.methodKind === 'unary' ? unary : stream;
}

/** Who calls, if they may: protocol, cluster and role are checked for every call. */
function admit<S extends DescService>(call: SurfaceCall, method: DescMethod, options: ServerOptions<S>): Peer {
  const address = call.getPeer();
  const refuse = (code: 'VERSION_SKEW' | 'TLS_REFUSED' | 'ROLE_REFUSED', who: string, why: string): never => {
    options.onRefused(who, why);
    throw new StillpointError(code, why);
  };

  const peer = parseIdentity(call.getAuthContext().sslPeerCertificate?.subjectaltname);
  if (peer === undefined)
    return refuse('TLS_REFUSED', address, 'the certificate of the caller is not one of `stillpoint pki issue`: it names no role');
  const who = `${describePeer(peer)} (${address})`;
  if (peer.cluster !== options.cluster) {
    return refuse(
      'TLS_REFUSED',
      who,
      `the certificate of the caller is for cluster ${peer.cluster}; ${options.node} belongs to cluster ${options.cluster}`,
    );
  }
  const [version] = call.metadata.get(PROTOCOL_KEY);
  if (version !== PROTOCOL_VERSION) {
    return refuse(
      'VERSION_SKEW',
      who,
      `${method.name}: the caller speaks protocol ${version ?? '(none)'}, ${options.node} speaks ${PROTOCOL_VERSION}`,
    );
  }
  const allowed = options.allowedRoles(method.localName as keyof S['method'] & string);
  if (!allowed.includes(peer.role)) {
    return refuse(
      'ROLE_REFUSED',
      who,
      `${method.name} is not for role ${peer.role} (${peer.name}), only for ${allowed.join(' and ') || 'nobody'}`,
    );
  }
  return peer;
}
