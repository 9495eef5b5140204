import { createPrivateKey, X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readSettingFile } from '@stillpoint/shared/config';
import { StillpointError } from '@stillpoint/shared/errors';
import { NAME_PATTERN } from '@stillpoint/shared/operation';
import { validityProblem } from '@stillpoint/shared/rpc';
import type { Clock } from '@stillpoint/shared/time';
import type { CertificatePair, Validity } from './certificate.ts';
import { writeNewFiles } from './files.ts';

/** File names of a CA. */
export const AUTHORITY_FILES = { cert: 'ca.crt', key: 'ca.key' } as const;

/** Ten years: replacing a CA means replacing every certificate. */
const AUTHORITY_DAYS = 3650;

const DAY_MS = 86_400_000;

/** Certificates are good from an hour ago on, for nodes whose clocks are late. */
const CLOCK_SKEW_MS = 3_600_000;

export interface InitAuthorityRequest {
  /** Where ca.crt and ca.key are written. */
  readonly directory: string;
  readonly cluster: string;
  readonly clock: Clock;
  /** Default 3650. */
  readonly validDays?: number;
}

/** Where a CA was written, and how long it is good. */
export interface AuthorityFiles {
  readonly cert: string;
  readonly key: string;
  readonly expiresAt: Date;
}

/** A CA as it was read from its directory. */
export interface Authority extends CertificatePair {
  readonly cluster: string;
  readonly expiresAt: Date;
}

/**
 * Makes the private CA of a cluster. Throws USAGE when the directory holds one already, CONFIG_FILE_UNREADABLE when it
 * cannot be written.
 */
export async function initAuthority({
  directory,
  cluster,
  clock,
  validDays = AUTHORITY_DAYS,
}: InitAuthorityRequest): Promise<AuthorityFiles> {
  if (!NAME_PATTERN.test(cluster)) throw new StillpointError('USAGE', `"${cluster}" is not a name for a cluster`, { hint: NAME_HINT });
  const validity = validityFrom(clock.now(), validDays);
  const { createAuthority } = await import('./certificate.ts');
  const { cert, key } = await createAuthority(cluster, validity);
  const paths = authorityPaths(directory);
  writeNewFiles(
    [
      { path: paths.key, content: key, mode: 0o600 },
      { path: paths.cert, content: cert, mode: 0o644 },
    ],
    'A new CA makes every certificate of the old one worthless. Move the old one away first if that is what you want.',
  );
  return { ...paths, expiresAt: validity.notAfter };
}

/** Reads the CA of a directory. Throws CONFIG_FILE_UNREADABLE (missing, or not a CA and its key), TLS_REFUSED (expired). */
export function readAuthority(directory: string, now: Date): Authority {
  const paths = authorityPaths(directory);
  if (!existsSync(paths.cert)) {
    throw new StillpointError('CONFIG_FILE_UNREADABLE', `${paths.cert}: no such file`, {
      hint: 'Make a CA with `stillpoint pki init` first.',
    });
  }
  const [cert, key] = [readSettingFile(paths.cert, 'CA').toString(), readSettingFile(paths.key, 'CA').toString()];
  const certificate = parse(cert, paths.cert);
  const cluster = /^URI:stillpoint:\/\/([^/,]+)\/ca$/.exec(certificate.subjectAltName ?? '')?.[1];
  if (cluster === undefined) throw new StillpointError('CONFIG_FILE_UNREADABLE', `${paths.cert}: is not a CA of \`stillpoint pki init\``);
  const problem = validityProblem(certificate, now);
  if (problem !== undefined)
    throw new StillpointError('TLS_REFUSED', `${paths.cert}: ${problem}`, { hint: 'Make a new CA, and new certificates.' });
  requireOwnKey(certificate, key, paths);
  return { cluster, cert, key, expiresAt: certificate.validToDate };
}

/** From a little ago to `days` from now, or to `limit` if that is sooner. Throws USAGE for a number of days that is none. */
export function validityFrom(now: Date, days: number, limit?: Date): Validity {
  if (!Number.isInteger(days) || days < 1 || days > 36_500) {
    throw new StillpointError('USAGE', `a certificate cannot be valid for ${days} days`, {
      hint: 'Give a whole number of days, 1 to 36500.',
    });
  }
  const end = Math.min(now.getTime() + days * DAY_MS, limit?.getTime() ?? Infinity);
  return { notBefore: new Date(now.getTime() - CLOCK_SKEW_MS), notAfter: new Date(end) };
}

/** What names may look like; they become file names. */
export const NAME_HINT = 'Use letters, digits, dot, dash and underscore, at most 64.';

const authorityPaths = (directory: string): { cert: string; key: string } => ({
  cert: join(directory, AUTHORITY_FILES.cert),
  key: join(directory, AUTHORITY_FILES.key),
});

function parse(pem: string, path: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    throw new StillpointError('CONFIG_FILE_UNREADABLE', `${path}: is not a PEM certificate`, { cause });
  }
}

/** A certificate signed by another key than its CA's would be refused everywhere. */
function requireOwnKey(certificate: X509Certificate, key: string, paths: { cert: string; key: string }): void {
  let matches = false;
  try {
    matches = certificate.checkPrivateKey(createPrivateKey(key));
  } catch {
    // The cause may quote the key.
    throw new StillpointError('CONFIG_FILE_UNREADABLE', `${paths.key}: is not an unencrypted PEM private key`);
  }
  if (!matches) throw new StillpointError('CONFIG_FILE_UNREADABLE', `${paths.key}: is not the key of ${paths.cert}`);
}
