import { existsSync, readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { StillpointError } from '@stillpoint/shared/errors';
import { NAME_PATTERN } from '@stillpoint/shared/operation';
import { CERTIFICATE_ROLES, type CertificateRole } from '@stillpoint/shared/rpc';
import type { Clock } from '@stillpoint/shared/time';
import { AUTHORITY_FILES, type Authority, NAME_HINT, readAuthority, validityFrom } from './authority.ts';
import { type NewFile, writeNewFiles } from './files.ts';

/** A little over two years: the longest that common TLS policies let a certificate live. */
const CERTIFICATE_DAYS = 825;

export interface IssueRequest {
  /** Directory of the CA. */
  readonly directory: string;
  readonly role: CertificateRole;
  /** Node name for agents; anything for controllers. */
  readonly name: string;
  /** IP addresses and host names to write into the certificate; Stillpoint itself goes by the name. */
  readonly addresses?: readonly string[];
  readonly clock: Clock;
  /** Default 825; never longer than the CA. */
  readonly validDays?: number;
  /** Directory for NAME.crt, NAME.key and ca.crt. Default: that of the CA. */
  readonly out?: string;
}

/** What was written, for the `tls` section of a configuration. */
export interface IssuedCertificate {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  readonly cluster: string;
  readonly expiresAt: Date;
}

/**
 * Issues a certificate for an agent or a controller of the CA's cluster. Throws USAGE (bad name or address, files that
 * exist), CONFIG_FILE_UNREADABLE (no CA, or not writable), TLS_REFUSED (the CA has expired).
 */
export async function issueCertificate(request: IssueRequest): Promise<IssuedCertificate> {
  const { directory, role, name, addresses = [], clock, validDays = CERTIFICATE_DAYS, out = directory } = request;
  requireSensible(request);
  const authority = readAuthority(directory, clock.now());

  const validity = validityFrom(clock.now(), validDays, authority.expiresAt);
  const { signCertificate } = await import('./certificate.ts');
  const { cert, key } = await signCertificate(authority, { cluster: authority.cluster, role, name }, addresses, validity);

  const paths = { ca: join(out, AUTHORITY_FILES.cert), cert: join(out, `${name}.crt`), key: join(out, `${name}.key`) };
  writeNewFiles(
    [
      { path: paths.key, content: key, mode: 0o600 },
      { path: paths.cert, content: cert, mode: 0o644 },
      ...authorityCopy(authority, paths.ca),
    ],
    'Move it away first, or name another directory with --out.',
  );
  return { ...paths, cluster: authority.cluster, expiresAt: validity.notAfter };
}

function requireSensible({ role, name, addresses = [] }: IssueRequest): void {
  const refuse = (message: string, hint: string): never => {
    throw new StillpointError('USAGE', message, { hint });
  };
  if (!CERTIFICATE_ROLES.includes(role)) refuse(`"${role}" is not a role`, `Roles are ${CERTIFICATE_ROLES.join(' and ')}.`);
  if (!NAME_PATTERN.test(name)) refuse(`"${name}" is not a name for a certificate`, NAME_HINT);
  if (name === 'ca') refuse('"ca" is the name of the CA itself', 'Choose another name.');
  for (const address of addresses) {
    if (isIP(address) === 0 && !HOST_NAME.test(address))
      refuse(`"${address}" is neither an IP address nor a host name`, 'Give it without a port.');
  }
}

const HOST_NAME = /^(?=.{1,253}$)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$/;

/** The CA's certificate goes along, unless it lies there already. */
function authorityCopy({ cert }: Authority, path: string): NewFile[] {
  if (existsSync(path) && readFileSync(path, 'utf8') === cert) return [];
  return [{ path, content: cert, mode: 0o644 }];
}
