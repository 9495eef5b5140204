import { constants } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { errnoOf, StillpointError } from '../errors/index.ts';
import { splitAddress } from './address.ts';
import { HANDSHAKE_TIMEOUT_MS } from './limits.ts';
import type { TlsMaterial } from './material.ts';
import { addressOf, certificateProblem, handshakeProblem } from './refusal.ts';

/** Where connections come in: TLS 1.3 with a certificate of our CA, or not at all. */
export interface Door {
  readonly port: number;
  /** Shuts the door. */
  close(): Leaving;
}

/** A door that is shut. */
interface Leaving {
  /** Resolves when all that were let in have gone by themselves. */
  readonly empty: Promise<void>;
  /** Drops the connections that are left. */
  now(): Promise<void>;
}

/**
 * Listens on `address` and hands on the connections that were let in. TLS is done here and not by the gRPC library: so
 * it can insist on TLS 1.3, and tell who was refused and why. Throws CONFIG_INVALID when the address cannot be used.
 */
export async function openDoor(
  address: string,
  { ca, cert, key }: TlsMaterial,
  onRefused: (who: string, why: string) => void,
  accept: (socket: TLSSocket) => void,
): Promise<Door> {
  const listener = createServer({
    ca,
    cert,
    key,
    minVersion: 'TLSv1.3',
    requestCert: true,
    // Whoever is refused is refused below: Node itself would drop the connection first, and with it the address that the log is to name.
    rejectUnauthorized: false,
    // No resumption: every connection shows its certificate, and has it compared with today's date.
    secureOptions: constants.SSL_OP_NO_TICKET,
    ALPNProtocols: ['h2'],
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    noDelay: true,
  });
  const connections = new Set<Socket>();
  const guests = new Set<TLSSocket>();
  listener.on('connection', (socket) => keep(connections, socket));
  listener.on('secureConnection', (socket) => {
    // What ends a connection reaches its calls through the HTTP/2 session; an error nobody listens to would end the process.
    socket.on('error', () => {});
    const problem = certificateProblem(socket);
    if (problem !== undefined) {
      onRefused(addressOf(socket), problem);
      socket.destroy();
      return;
    }
    keep(guests, socket);
    accept(socket);
  });
  listener.on('tlsClientError', (error, socket) => onRefused(addressOf(socket), handshakeProblem(error)));
  await listen(listener, address);

  return {
    port: (listener.address() as { port: number }).port,
    close: () => {
      const closed = once(listener, 'close');
      listener.close();
      return {
        empty: Promise.all([...guests].map((guest) => new Promise((resolve) => guest.once('close', resolve)))).then(() => {}),
        now: async () => {
          for (const socket of connections) socket.destroy();
          await closed;
        },
      };
    },
  };
}

/** Keeps a socket in a set for as long as it is open. */
function keep<S extends Socket>(sockets: Set<S>, socket: S): void {
  sockets.add(socket);
  socket.once('close', () => sockets.delete(socket));
}

async function listen(listener: Server, address: string): Promise<void> {
  try {
    listener.listen(splitAddress(address));
    await once(listener, 'listening');
  } catch (cause) {
    const hint = errnoOf(cause) === 'EADDRINUSE' ? `Another process listens on ${address}; stop it or change \`listen\`.` : undefined;
    throw new StillpointError('CONFIG_INVALID', `listen: cannot listen on ${address}: ${errnoOf(cause) ?? String(cause)}`, { hint, cause });
  }
}
