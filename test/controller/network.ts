import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** The network between a controller and one agent, which can be cut. */
export interface Network {
  /** host:port to reach the agent under. */
  readonly address: string;
  /** Breaks every connection; new ones can be made at once. */
  cut(): void;
  /** Breaks every connection and refuses new ones, until `mend`. */
  sever(): void;
  mend(): void;
  close(): Promise<void>;
}

/** A network that leads to wherever `target` says at the time. */
export async function network(target: () => number): Promise<Network> {
  const sockets = new Set<Socket>();
  let severed = false;
  const server = createServer({ noDelay: true }, (near) => {
    if (severed) {
      near.destroy();
      return;
    }
    const far = connect({ port: target(), host: '127.0.0.1', noDelay: true });
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut,
    sever: () => {
      severed = true;
      cut();
    },
    mend: () => {
      severed = false;
    },
    close: async () => {
      cut();
      server.close();
      await once(server, 'close');
    },
  };
}
