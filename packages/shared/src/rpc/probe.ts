import { connect, type TLSSocket } from 'node:tls';
import { errnoOf, StillpointError } from '../errors/index.ts';
import { formatDuration } from '../time/index.ts';
import { splitAddress } from './address.ts';
import { describePeer } from './identity.ts';
import { CONNECT_TIMEOUT_MS } from './limits.ts';
import type { TlsMaterial } from './material.ts';
import { verificationProblem } from './refusal.ts';
import type { Target } from './types.ts';
import { agentProblem } from './verify.ts';

/** How far a connection came. `presented`: the handshake is over for us, the other side has yet to judge our certificate. */
type Stage = 'connecting' | 'handshake' | 'presented' | 'accepted';

/**
 * Connects to an agent once, to find out what stands in the way. Resolves when nothing does. Throws NODE_UNREACHABLE,
 * TLS_REFUSED (whose message says which certificate was refused by whom, and why), or NODE_MISMATCH.
 */
export async function probe(target: Target, material: TlsMaterial): Promise<void> {
  const first = await attempt(target, material);
  if (first.stage === 'accepted') return;
  // An agent that dies just after the handshake looks like one that refuses us; it does so only once.
  const last = first.stage === 'presented' ? await attempt(target, material) : first;
  if (last.stage !== 'accepted') throw last.problem ?? explain(last, target, material);
}

interface Outcome {
  readonly stage: Stage;
  readonly error?: Error;
  /** What we hold against the other side. */
  readonly problem?: StillpointError;
}

function attempt(target: Target, { ca, cert, key, identity }: TlsMaterial): Promise<Outcome> {
  return new Promise((resolve) => {
    let stage: Stage = 'connecting';
    const socket = connect({
      ...splitAddress(target.address),
      ca,
      cert,
      key,
      minVersion: 'TLSv1.3',
      servername: 'stillpoint',
      ALPNProtocols: ['h2'],
      // Only so that we can say what is wrong: nothing is sent over this connection.
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
    });
    const timer = setTimeout(() => finish({ stage, problem: noAnswer(target, CONNECT_TIMEOUT_MS) }), CONNECT_TIMEOUT_MS);
    const finish = (outcome: Outcome): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(outcome);
    };
    socket.on('connect', () => {
      stage = 'handshake';
    });
    socket.on('secureConnect', () => {
      stage = 'presented';
      const problem = peerProblem(socket, target, identity.cluster);
      if (problem !== undefined) finish({ stage: 'handshake', problem });
    });
    // An HTTP/2 server greets with its settings, once it has accepted our certificate.
    socket.on('data', () => finish({ stage: 'accepted' }));
    socket.on('error', (error) => finish({ stage, error }));
    socket.on('close', () => finish({ stage }));
  });
}

/** What we hold against the certificate of the other side. */
function peerProblem(socket: TLSSocket, target: Target, cluster: string): StillpointError | undefined {
  const certificate = socket.getPeerX509Certificate();
  if (socket.authorized) return agentProblem(certificate?.subjectAltName, target, cluster);
  const valid =
    certificate === undefined ? '' : ` (valid from ${certificate.validFromDate.toISOString()} to ${certificate.validToDate.toISOString()})`;
  const message = `${target.node} (${target.address}): we refuse the certificate there: ${verificationProblem(socket)}${valid}`;
  return new StillpointError('TLS_REFUSED', message, { node: target.node });
}

/** What the other side holds against us, as far as it shows. */
function explain({ stage, error }: Outcome, target: Target, { identity, certificate }: TlsMaterial): StillpointError {
  const { node, address } = target;
  const reason = errnoOf(error) ?? error?.message ?? 'connection closed';
  if (stage === 'presented') {
    const issuer = certificate.issuer.replaceAll('\n', ', ');
    const ours = `${describePeer(identity)}, issued by ${issuer}, valid to ${certificate.validToDate.toISOString()}`;
    const hint = 'Its log says why. Does its tls.ca hold the CA of our certificate, and is its clock right?';
    return new StillpointError('TLS_REFUSED', `${node} (${address}): the agent refuses our certificate (${ours})`, {
      node,
      hint,
      cause: error,
    });
  }
  if (stage === 'handshake' && reason.startsWith('ERR_SSL')) {
    const message = `${node} (${address}): what answers there speaks no TLS 1.3 (${reason})`;
    return new StillpointError('TLS_REFUSED', message, { node, hint: 'Is it an agent? Check the address.', cause: error });
  }
  return new StillpointError('NODE_UNREACHABLE', `${node} (${address}): ${reason}`, { node, cause: error });
}

/** The error of a node that does not answer at all. */
export const noAnswer = ({ node, address }: Target, timeoutMs: number): StillpointError =>
  new StillpointError('NODE_UNREACHABLE', `${node} (${address}): no connection within ${formatDuration(timeoutMs)}`, { node });
