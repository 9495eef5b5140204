import type { MessageInitShape } from '@bufbuild/protobuf';
import { StillpointError } from '@stillpoint/shared/errors';
import { AgentService, type DescribeNodeResponseSchema, Role } from '@stillpoint/shared/proto';
import { createServer, type Implementation, type RunningServer } from '@stillpoint/shared/rpc';
import type { TestNode } from './cluster.ts';

/** A peer that speaks the protocol, with the node's certificate and at its address, but says that it is of another version. */
export function startForeignAgent(node: TestNode, pki: string, agentVersion: string): Promise<RunningServer> {
  const facts: MessageInitShape<typeof DescribeNodeResponseSchema> = {
    facts: { node: node.name, agentVersion, hostname: 'elsewhere', roles: [Role.SQL] },
  };
  const refuse = (): never => {
    throw new StillpointError('USAGE', 'a controller of another version must not get this far');
  };
  const answers: Partial<Implementation<typeof AgentService>> = {
    describeNode: async () => facts,
    claimNode: async ({ operationId }) => ({ claim: { operationId } }),
    releaseNode: async () => ({}),
  };
  const implementation = new Proxy(answers as Implementation<typeof AgentService>, {
    get: (known, method) => Reflect.get(known, method) ?? refuse,
  });
  return createServer({
    tls: { ca: `${pki}/ca.crt`, cert: `${pki}/${node.name}.crt`, key: `${pki}/${node.name}.key` },
    cluster: 'shop',
    node: node.name,
    listen: `${node.address}:${node.agentPort}`,
    service: AgentService,
    implementation,
    allowedRoles: () => ['controller'],
    onRefused: () => undefined,
  });
}
