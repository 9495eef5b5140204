import type { TLSSocket } from 'node:tls';
import { errnoOf } from '../errors/index.ts';

/** Who was refused at the door, and why, in words for the log. */
export function refusalReason(error: Error, socket: TLSSocket): [who: string, why: string] {
  const who = socket.remoteAddress === undefined ? 'unknown address' : `${socket.remoteAddress}:${socket.remotePort}`;
  return [who, why(error, socket)];
}

function why(error: Error, socket: TLSSocket): string {
  const verification: unknown = socket.authorizationError;
  if (verification) return `its certificate was refused: ${VERIFICATION[String(verification)] ?? String(verification)}`;
  return HANDSHAKE[errnoOf(error) ?? ''] ?? `the TLS handshake failed: ${error.message}`;
}

/** OpenSSL's reasons to refuse a certificate, in words. */
export const VERIFICATION: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'it has expired',
  CERT_NOT_YET_VALID: 'it is not valid yet',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'it was issued by another CA',
  UNABLE_TO_GET_ISSUER_CERT: 'it was issued by another CA',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'it was issued by another CA',
  SELF_SIGNED_CERT_IN_CHAIN: 'it was issued by another CA',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'it is self-signed',
  CERT_SIGNATURE_FAILURE: 'it was issued by another CA of the same name',
  INVALID_PURPOSE: 'it is not meant for this use',
};

const HANDSHAKE: Readonly<Record<string, string>> = {
  ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE: 'it presented no certificate',
  ERR_SSL_UNSUPPORTED_PROTOCOL: 'it speaks no TLS 1.3',
  ERR_SSL_WRONG_VERSION_NUMBER: 'it does not speak TLS',
  ERR_SSL_HTTP_REQUEST: 'it does not speak TLS',
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: 'it refused our certificate: issued by another CA',
  ERR_TLS_HANDSHAKE_TIMEOUT: 'it did not finish the TLS handshake',
  ECONNRESET: 'it closed the connection during the TLS handshake',
};
