import { inspectExpiry } from '@stillpoint/controller';
import type { TlsSetting } from '@stillpoint/shared/config';
import { type CertificateRole, readTlsMaterial } from '@stillpoint/shared/rpc';
import type { Clock } from '@stillpoint/shared/time';
import { inspectSecretFile } from './files.ts';
import type { Findings } from './findings.ts';

/** Days before the end of a certificate at which it deserves a word. */
const EXPIRES_SOON_DAYS = 30;

/** Who a certificate has to name. */
interface Expected {
  readonly cluster: string;
  readonly role: CertificateRole;
  /** For agents: the name of the node. */
  readonly name?: string;
}

/** Certificate, key and CA of a configuration: readable, of each other, valid, and of the right role. */
export function inspectCertificates(found: Findings, tls: TlsSetting, expected: Expected, clock: Clock): void {
  inspectSecretFile(found, 'tls.key', tls.key);
  const material = found.look('tls', () => readTlsMaterial(tls, expected.cluster, clock.now()));
  if (material === undefined) return;
  const { role, name, cluster } = material.identity;
  const issue = `stillpoint pki issue --role ${expected.role} --name ${expected.name ?? 'NAME'}`;
  if (role !== expected.role) {
    found.failed('tls.cert', `${tls.cert} is for role ${role}, this file needs role ${expected.role}`, `Issue another one: ${issue}`);
  } else if (expected.name !== undefined && name !== expected.name) {
    found.failed('tls.cert', `${tls.cert} is for ${name}, this node is ${expected.name}`, `Issue another one: ${issue}`);
  } else {
    found.ok('tls.cert', `${role} ${name} of cluster ${cluster}`);
  }
  inspectValidity(found, tls, clock);
}

function inspectValidity(found: Findings, tls: TlsSetting, clock: Clock): void {
  const expiry = found.look('tls', () => inspectExpiry(tls, clock));
  if (expiry === undefined) return;
  const { setting, daysLeft, expiresAt } = expiry;
  const message = `valid until ${expiresAt.toISOString().slice(0, 10)}, ${daysLeft} days`;
  if (daysLeft >= EXPIRES_SOON_DAYS) found.ok(setting, message);
  else found.warning(setting, message, 'Issue a new one with `stillpoint pki issue`, then restart whoever uses it.');
}
