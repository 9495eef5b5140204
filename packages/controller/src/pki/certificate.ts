// The certificate library is built on decorators and refuses to load without this.
import 'reflect-metadata';
import { createPrivateKey, KeyObject, randomBytes, type webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type JsonGeneralNames,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { identityUri, type Peer } from '@stillpoint/shared/rpc';

/** A certificate and its private key, PEM. */
export interface CertificatePair {
  readonly cert: string;
  readonly key: string;
}

/** From when to when a certificate is good. */
export interface Validity {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

const CURVE = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNATURE = { name: 'ECDSA', hash: 'SHA-256' } as const;

/** A self-signed CA of the cluster. Its URI says which cluster it is for; it can issue no further CAs. */
export async function createAuthority(cluster: string, validity: Validity): Promise<CertificatePair> {
  const keys = await crypto.subtle.generateKey(CURVE, true, ['sign', 'verify']);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    ...validity,
    keys,
    name: [{ O: [cluster] }, { CN: ['Stillpoint CA'] }],
    serialNumber: newSerial(),
    signingAlgorithm: SIGNATURE,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      new SubjectAlternativeNameExtension([{ type: 'url', value: authorityUri(cluster) }]),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return pair(certificate, keys.privateKey);
}

/** A certificate for a peer, signed by the CA. Addresses are there for other programs; Stillpoint itself goes by the URI. */
export async function signCertificate(
  ca: CertificatePair,
  peer: Peer,
  addresses: readonly string[],
  validity: Validity,
): Promise<CertificatePair> {
  const authority = new X509Certificate(ca.cert);
  const keys = await crypto.subtle.generateKey(CURVE, true, ['sign', 'verify']);
  const names: JsonGeneralNames = [
    { type: 'url', value: identityUri(peer) },
    ...addresses.map((value) => ({ type: isIP(value) === 0 ? ('dns' as const) : ('ip' as const), value })),
  ];
  const certificate = await X509CertificateGenerator.create({
    ...validity,
    publicKey: keys.publicKey,
    signingKey: createPrivateKey(ca.key).toCryptoKey(CURVE, false, ['sign']),
    subject: [{ O: [peer.cluster] }, { OU: [peer.role] }, { CN: [peer.name] }],
    issuer: authority.subjectName,
    serialNumber: newSerial(),
    signingAlgorithm: SIGNATURE,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      // Agents also call: a replica fetches its seed from another agent.
      new ExtendedKeyUsageExtension(
        peer.role === 'agent' ? [ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth] : [ExtendedKeyUsage.clientAuth],
      ),
      new SubjectAlternativeNameExtension(names),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
      await AuthorityKeyIdentifierExtension.create(authority.publicKey),
    ],
  });
  return pair(certificate, keys.privateKey);
}

/** What a CA of ours carries as subject alternative name. */
const authorityUri = (cluster: string): string => `stillpoint://${cluster}/ca`;

/** 126 random bits: positive, and never the same twice. */
function newSerial(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString('hex');
}

const pair = (certificate: X509Certificate, key: webcrypto.CryptoKey): CertificatePair => ({
  cert: `${certificate.toString('pem')}\n`,
  key: KeyObject.from(key).export({ type: 'pkcs8', format: 'pem' }).toString(),
});
