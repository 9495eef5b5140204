import { X509Certificate } from 'node:crypto';
import { readSettingFile, type TlsSetting } from '@stillpoint/shared/config';
import { StillpointError } from '@stillpoint/shared/errors';
import type { Clock } from '@stillpoint/shared/time';

/** Which certificate of a TLS setting expires first. */
export interface Expiry {
  readonly setting: 'tls.cert' | 'tls.ca';
  readonly path: string;
  readonly expiresAt: Date;
  /** Whole days left; negative once it has expired. */
  readonly daysLeft: number;
}

/** How long the certificates of a TLS setting are still good. Throws CONFIG_FILE_UNREADABLE. */
export function inspectExpiry(tls: TlsSetting, clock: Clock): Expiry {
  const now = clock.now().getTime();
  const looks = (['cert', 'ca'] as const).map((which): Expiry => {
    const [setting, path] = [`tls.${which}` as const, tls[which]];
    const expiresAt = validTo(readSettingFile(path, setting), `${setting}: ${path}`);
    return { setting, path, expiresAt, daysLeft: Math.floor((expiresAt.getTime() - now) / 86_400_000) };
  });
  return looks.reduce((first, look) => (look.expiresAt < first.expiresAt ? look : first));
}

function validTo(pem: Buffer, where: string): Date {
  try {
    return new X509Certificate(pem).validToDate;
  } catch (cause) {
    throw new StillpointError('CONFIG_FILE_UNREADABLE', `${where}: is not a PEM certificate`, { cause });
  }
}
