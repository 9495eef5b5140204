import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Session } from './session.ts';
import type { ServerSettings } from './settings.ts';

/**
 * What tells one data directory from another at the same place: a restore, by whatever means, makes the file of the system tablespace anew.
 * Log sequence numbers alone do not tell. Undefined when the file is not where servers keep it.
 */
export async function incarnationOf({ innodbDataHomeDir }: Pick<ServerSettings, 'innodbDataHomeDir'>): Promise<string | undefined> {
  const stats = await stat(join(innodbDataHomeDir, 'ibdata1'), { bigint: true }).catch(() => undefined);
  return stats === undefined ? undefined : `${stats.ino}-${stats.birthtimeNs}`;
}

/** How far the server has written its log: a log sequence number. Throws SERVER_DOWN or the signal's reason. */
export async function currentLsn(session: Session, signal?: AbortSignal): Promise<bigint> {
  const [row] = await session.query("SHOW GLOBAL STATUS LIKE 'Innodb_lsn_current'", [], signal);
  return BigInt(String(row?.Value ?? '0'));
}
