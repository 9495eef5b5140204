import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TlsSetting } from '@stillpoint/shared/config';
import type { CertificateRole } from '@stillpoint/shared/rpc';
import { type Clock, systemClock } from '@stillpoint/shared/time';
import { initAuthority, issueCertificate } from '../../packages/controller/src/pki/index.ts';

/** A CA for one test, with all that it issued. */
export interface TestAuthority {
  readonly directory: string;
  issue(role: CertificateRole, name: string, when?: { clock?: Clock; validDays?: number }): Promise<TlsSetting>;
  remove(): void;
}

/** A CA of its own in a new directory, a hundred days old, so that it can have issued what has expired since. */
export async function testAuthority(cluster: string): Promise<TestAuthority> {
  const directory = mkdtempSync(join(tmpdir(), 'stillpoint-pki-'));
  await initAuthority({ directory, cluster, clock: clockAt(-100) });
  return {
    directory,
    issue: async (role, name, when = {}) => {
      const { ca, cert, key } = await issueCertificate({ directory, role, name, clock: systemClock, ...when });
      return { ca, cert, key };
    },
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

/** A clock that stands, `days` away from now. */
export function clockAt(days: number): Clock {
  return { ...systemClock, now: () => new Date(Date.now() + days * 86_400_000) };
}
