/** Calls between controller and agents: generated services over gRPC and mutual TLS 1.3, errors of the table only. */
export { createClient } from './client.ts';
export { identityUri } from './identity.ts';
export { readTlsMaterial, type TlsMaterial, validityProblem } from './material.ts';
export { createServer } from './server.ts';
export {
  type CallContext,
  type CallOptions,
  CERTIFICATE_ROLES,
  type CertificateRole,
  type Client,
  type ClientOptions,
  type Connection,
  type Implementation,
  type Peer,
  type RunningServer,
  type ServerOptions,
  type Target,
} from './types.ts';
