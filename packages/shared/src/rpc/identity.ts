import { NAME_PATTERN } from '../operation/index.ts';
import { CERTIFICATE_ROLES, type CertificateRole, type Peer } from './types.ts';

const URI = /^stillpoint:\/\/([^/]+)\/([^/]+)\/([^/]+)$/;

/** The URI that a certificate carries as subject alternative name. */
export const identityUri = ({ cluster, role, name }: Peer): string => `stillpoint://${cluster}/${role}/${name}`;

/** A peer for people: `controller ops of cluster shop`. */
export const describePeer = ({ cluster, role, name }: Peer): string => `${role} ${name} of cluster ${cluster}`;

/**
 * Who a certificate belongs to, by its subject alternative names as Node lists them (`URI:a, IP Address:b`).
 * Undefined when it holds no such URI, or more than one: then it is not one of ours.
 */
export function parseIdentity(subjectAltName: string | undefined): Peer | undefined {
  const uris = (subjectAltName ?? '').split(', ').filter((entry) => entry.startsWith('URI:stillpoint:'));
  const match = uris.length === 1 ? URI.exec(uris[0]?.slice('URI:'.length) ?? '') : null;
  const [, cluster = '', role = '', name = ''] = match ?? [];
  if (!NAME_PATTERN.test(cluster) || !NAME_PATTERN.test(name) || !isRole(role)) return undefined;
  return { cluster, role, name };
}

const isRole = (text: string): text is CertificateRole => (CERTIFICATE_ROLES as readonly string[]).includes(text);
