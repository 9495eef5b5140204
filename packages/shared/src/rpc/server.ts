import { once } from 'node:events';
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from 'node:tls';
import type { DescService } from '@bufbuild/protobuf';
import { Server, ServerCredentials, type ServiceDefinition, type UntypedServiceImplementation } from '@grpc/grpc-js';
import { errnoOf, StillpointError } from '../errors/index.ts';
import { splitAddress } from './address.ts';
import { createCallRegistry } from './calls.ts';
import { SERVER_CHANNEL } from './limits.ts';
import { readTlsMaterial, type TlsMaterial } from './material.ts';
import { methodDefinition } from './messages.ts';
import { refusalReason } from './refusal.ts';
import { serveMethod } from './serve.ts';
import type { RunningServer, ServerOptions } from './types.ts';

/** Longest time from a connection to the end of its TLS handshake, ms: strangers get no more. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/**
 * Serves a service over mutual TLS 1.3. Throws CONFIG_FILE_UNREADABLE or TLS_REFUSED for its own certificate,
 * NODE_MISMATCH when that is issued for another node, CONFIG_INVALID when `listen` cannot be bound.
 */
export async function createServer<S extends DescService>(options: ServerOptions<S>): Promise<RunningServer> {
  const material = readTlsMaterial(options.tls, options.cluster);
  requireOwnCertificate(material, options);

  const calls = createCallRegistry(options.node);
  const grpc = new Server(SERVER_CHANNEL);
  const { methods } = options.service;
  const definition: ServiceDefinition = Object.fromEntries(methods.map((method) => [method.localName, methodDefinition(method)]));
  const handlers: UntypedServiceImplementation = Object.fromEntries(
    methods.map((method) => [method.localName, serveMethod(method, options, calls)]),
  );
  grpc.addService(definition, handlers);

  // TLS is ours, not the library's: it can ask for TLS 1.3 and a client certificate, and it can tell who was refused and why.
  const injector = grpc.createConnectionInjector(ServerCredentials.createInsecure());
  const listener = listenerOf(material, options.onRefused, (socket) => injector.injectConnection(socket));
  await listen(listener, options.listen);
  return {
    port: (listener.address() as { port: number }).port,
    close: async () => {
      const closed = once(listener, 'close');
      listener.close();
      await calls.close();
      grpc.forceShutdown();
      await closed;
    },
  };
}

function requireOwnCertificate({ identity }: TlsMaterial, { node, tls }: { node: string; tls: { cert: string } }): void {
  if (identity.role !== 'agent') {
    throw new StillpointError('TLS_REFUSED', `tls.cert: ${tls.cert}: is of role ${identity.role}, a server needs role agent`);
  }
  if (identity.name !== node) {
    throw new StillpointError(
      'NODE_MISMATCH',
      `tls.cert: ${tls.cert}: is issued for node ${identity.name}, the configuration says ${node}`,
    );
  }
}

function listenerOf(
  { ca, cert, key }: TlsMaterial,
  onRefused: (who: string, why: string) => void,
  accept: (socket: TLSSocket) => void,
): TlsServer {
  const listener = createTlsServer({
    ca,
    cert,
    key,
    minVersion: 'TLSv1.3',
    requestCert: true,
    rejectUnauthorized: true,
    ALPNProtocols: ['h2'],
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    noDelay: true,
  });
  listener.on('secureConnection', (socket) => {
    // What ends a connection reaches its calls through the HTTP/2 session; an error nobody listens to would end the process.
    socket.on('error', () => {});
    accept(socket);
  });
  listener.on('tlsClientError', (error, socket) => onRefused(...refusalReason(error, socket)));
  return listener;
}

async function listen(listener: TlsServer, address: string): Promise<void> {
  try {
    listener.listen(splitAddress(address));
    await once(listener, 'listening');
  } catch (cause) {
    throw new StillpointError('CONFIG_INVALID', `listen: cannot listen on ${address}: ${errnoOf(cause) ?? String(cause)}`, { cause });
  }
}
