import type { TLSSocket } from 'node:tls';
import { errnoOf } from '../errors/index.ts';

/** What speaks against the certificate of who connects; undefined when it is in order. */
export function certificateProblem(socket: TLSSocket): string | undefined {
  if (socket.getPeerX509Certificate() === undefined) return 'it presented no certificate';
  if (socket.authorized) return undefined;
  return `its certificate was refused: ${verificationProblem(socket)}`;
}

/** Why the chain of a certificate was not accepted, in words. */
export function verificationProblem(socket: TLSSocket): string {
  const reason = String(socket.authorizationError);
  return VERIFICATION[reason] ?? reason;
}

/** Why a TLS handshake failed, in words. */
export function handshakeProblem(error: Error): string {
  return HANDSHAKE[errnoOf(error) ?? ''] ?? `the TLS handshake failed: ${error.message}`;
}

/** Where a connection comes from; not known any more when it was reset. */
export const addressOf = ({ remoteAddress, remotePort }: TLSSocket): string =>
  remoteAddress === undefined ? 'unknown address' : `${remoteAddress}:${remotePort}`;

/** OpenSSL's reasons to refuse a certificate. */
const VERIFICATION: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'it has expired',
  CERT_NOT_YET_VALID: 'it is not valid yet',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'it was issued by another CA',
  UNABLE_TO_GET_ISSUER_CERT: 'it was issued by another CA',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'it was issued by another CA',
  SELF_SIGNED_CERT_IN_CHAIN: 'it was issued by another CA',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'it is self-signed',
  CERT_SIGNATURE_FAILURE: 'it was issued by another CA',
  INVALID_PURPOSE: 'it is not meant for this use',
};

const HANDSHAKE: Readonly<Record<string, string>> = {
  ERR_SSL_UNSUPPORTED_PROTOCOL: 'it speaks no TLS 1.3',
  ERR_SSL_WRONG_VERSION_NUMBER: 'it does not speak TLS',
  ERR_SSL_HTTP_REQUEST: 'it does not speak TLS',
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: 'it refused our certificate: issued by another CA',
  ERR_TLS_HANDSHAKE_TIMEOUT: 'it did not finish the TLS handshake',
  ECONNRESET: 'it closed the connection during the TLS handshake',
};
