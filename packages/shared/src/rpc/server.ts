import type { DescService } from '@bufbuild/protobuf';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { StillpointError } from '../errors/index.ts';
import { createCallRegistry } from './calls.ts';
import { openDoor } from './door.ts';
import { CLOSE_GRACE_MS, SERVER_CHANNEL } from './limits.ts';
import { readTlsMaterial, type TlsMaterial } from './material.ts';
import { servedMethod } from './messages.ts';
import { serveMethod } from './serve.ts';
import type { RunningServer, ServerOptions } from './types.ts';

/**
 * Serves a service over mutual TLS 1.3. Throws CONFIG_FILE_UNREADABLE or TLS_REFUSED for its own certificate,
 * NODE_MISMATCH when that is issued for another node, CONFIG_INVALID when `listen` cannot be bound.
 */
export async function createServer<S extends DescService>(options: ServerOptions<S>): Promise<RunningServer> {
  const material = readTlsMaterial(options.tls, options.cluster);
  requireOwnCertificate(material, options);

  const calls = createCallRegistry(options.node);
  const grpc = new Server(SERVER_CHANNEL);
  for (const method of options.service.methods) {
    const { path, serialize, deserialize } = servedMethod(method);
    grpc.register(path, serveMethod(method, options, calls), serialize, deserialize, HANDLER_TYPE[method.methodKind]);
  }
  const injector = grpc.createConnectionInjector(ServerCredentials.createInsecure());
  const door = await openDoor(options.listen, material, options.onRefused, (socket) => injector.injectConnection(socket));
  return {
    port: door.port,
    close: async () => {
      // No new connections, no new calls; callers are told how their calls ended; then the connections go.
      const leaving = door.close();
      grpc.tryShutdown(() => {});
      await atMost(CLOSE_GRACE_MS, Promise.all([calls.close(), leaving.empty]));
      grpc.forceShutdown();
      await leaving.now();
    },
  };
}

/** Kinds of methods in the words of grpc-js. */
const HANDLER_TYPE = {
  unary: 'unary',
  server_streaming: 'serverStream',
  client_streaming: 'clientStream',
  bidi_streaming: 'bidi',
} as const;

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

/** Waits for `work`, but no longer than `ms`. */
async function atMost(ms: number, work: Promise<unknown>): Promise<void> {
  const timer = Promise.withResolvers<void>();
  const ringing = setTimeout(timer.resolve, ms);
  await Promise.race([work, timer.promise]);
  clearTimeout(ringing);
}
