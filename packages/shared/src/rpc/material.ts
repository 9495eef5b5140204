import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readSettingFile, type TlsSetting } from '../config/index.ts';
import { StillpointError } from '../errors/index.ts';
import { parseIdentity } from './identity.ts';
import type { Peer } from './types.ts';

/** One side's certificate, key and CA, read and found to fit each other. */
export interface TlsMaterial {
  readonly ca: Buffer;
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly certificate: X509Certificate;
  readonly identity: Peer;
}

/**
 * Reads the files of a TLS setting and checks them against each other and against the calendar: a mistake shows where it
 * was made, not as a broken connection on the other side.
 *
 * Throws CONFIG_FILE_UNREADABLE (missing, not PEM, key of another certificate) or TLS_REFUSED (expired, of another CA,
 * not a Stillpoint certificate), both naming setting and path.
 */
export function readTlsMaterial(tls: TlsSetting, cluster: string, now = new Date()): TlsMaterial {
  const [ca, cert, key] = [readSettingFile(tls.ca, 'tls.ca'), readSettingFile(tls.cert, 'tls.cert'), readSettingFile(tls.key, 'tls.key')];
  const authorities = parseCertificates(ca, `tls.ca: ${tls.ca}`);
  const certificate = parseCertificates(cert, `tls.cert: ${tls.cert}`)[0];
  const privateKey = parseKey(key, `tls.key: ${tls.key}`);
  if (!certificate.checkPrivateKey(privateKey)) throw unusable(`tls.key: ${tls.key}`, `is not the key of the certificate ${tls.cert}`);

  const where = `tls.cert: ${tls.cert}`;
  const refuse = (why: string): never => {
    throw new StillpointError('TLS_REFUSED', `${where}: ${why}`);
  };
  const validity = validityProblem(certificate, now);
  if (validity !== undefined) refuse(validity);
  if (!authorities.some((authority) => isIssuer(authority, certificate))) refuse(`was not issued by the CA in ${tls.ca} (tls.ca)`);
  const identity = parseIdentity(certificate.subjectAltName) ?? refuse('is not a certificate of `stillpoint pki issue`: it names no role');
  if (identity.cluster !== cluster) refuse(`is for cluster ${identity.cluster}, the configuration is for ${cluster}`);
  return { ca, cert, key, certificate, identity };
}

/** What is wrong with a certificate's validity at `now`; undefined when it is valid. */
export function validityProblem(certificate: X509Certificate, now: Date): string | undefined {
  if (now > certificate.validToDate) return `expired on ${certificate.validToDate.toISOString()}`;
  if (now < certificate.validFromDate) return `is not valid before ${certificate.validFromDate.toISOString()}`;
  return undefined;
}

const isIssuer = (authority: X509Certificate, certificate: X509Certificate): boolean =>
  certificate.checkIssued(authority) && certificate.verify(authority.publicKey);

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

function parseCertificates(pem: Buffer, where: string): [X509Certificate, ...X509Certificate[]] {
  const blocks = pem.toString('latin1').match(PEM_CERTIFICATE) ?? [];
  try {
    const [first, ...rest] = blocks.map((block) => new X509Certificate(block));
    if (first !== undefined) return [first, ...rest];
  } catch (cause) {
    throw unusable(where, 'holds a broken certificate', cause);
  }
  throw unusable(where, 'is not a PEM certificate');
}

function parseKey(pem: Buffer, where: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch {
    // Its cause may quote the key.
    throw unusable(where, 'is not an unencrypted PEM private key');
  }
}

const unusable = (where: string, why: string, cause?: unknown): StillpointError =>
  new StillpointError('CONFIG_FILE_UNREADABLE', `${where}: ${why}`, { cause });
