import { StillpointError } from '../errors/index.ts';
import { parseIdentity } from './identity.ts';
import type { Target } from './types.ts';

/**
 * What is wrong with the certificate of an agent whose chain is in order: it must be of our cluster, of role agent, and
 * of the node we mean. The host name does not matter: agents are reached by address.
 */
export function agentProblem(subjectAltName: string | undefined, target: Target, cluster: string): StillpointError | undefined {
  const where = `${target.node} (${target.address})`;
  const refused = (why: string): StillpointError =>
    new StillpointError('TLS_REFUSED', `${where}: the certificate there ${why}`, { node: target.node });
  const peer = parseIdentity(subjectAltName);
  if (peer === undefined) return refused('is not one of `stillpoint pki issue`: it names no role');
  if (peer.cluster !== cluster) return refused(`is for cluster ${peer.cluster}, not ${cluster}`);
  if (peer.role !== 'agent') return refused(`is of role ${peer.role}, not agent`);
  if (peer.name === target.node) return undefined;
  return new StillpointError('NODE_MISMATCH', `${where}: the agent there has the certificate of node ${peer.name}`, { node: target.node });
}
