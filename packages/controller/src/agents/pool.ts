import { StillpointError } from '@stillpoint/shared/errors';
import type { AgentService } from '@stillpoint/shared/proto';
import type { Client, Connection, Target } from '@stillpoint/shared/rpc';

/** The agent of one configured node. */
export interface NodeAgent {
  readonly node: string;
  /** host:port. */
  readonly address: string;
  /** Its calls. The connection is made on first use; throws CONFIG_FILE_UNREADABLE or TLS_REFUSED for our own certificate then. */
  readonly rpc: Client<typeof AgentService>;
}

/** Opens the way to an agent. */
export type Connect = (target: Target) => Connection<typeof AgentService>;

/** All agents of a cluster, in the order of the configuration. */
export interface AgentPool {
  readonly all: readonly NodeAgent[];
  /** Throws NODE_UNKNOWN. */
  get(node: string): NodeAgent;
  close(): void;
}

/** One connection per node, made when it is first needed and kept. */
export function agentPool(nodes: readonly { readonly name: string; readonly address: string }[], connect: Connect): AgentPool {
  const open = new Map<string, Connection<typeof AgentService>>();
  const connection = (target: Target): Connection<typeof AgentService> => {
    const made = open.get(target.node) ?? connect(target);
    open.set(target.node, made);
    return made;
  };
  const all = nodes.map(
    ({ name: node, address }): NodeAgent => ({
      node,
      address,
      get rpc() {
        return connection({ node, address }).client;
      },
    }),
  );
  return {
    all,
    get: (node) => {
      const found = all.find((agent) => agent.node === node);
      if (found === undefined) throw new StillpointError('NODE_UNKNOWN', `${node} is not a node of the cluster configuration`, { node });
      return found;
    },
    close: () => {
      for (const made of open.values()) made.close();
      open.clear();
    },
  };
}
