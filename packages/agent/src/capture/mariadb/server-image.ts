import { StillpointError } from '@stillpoint/shared/errors';
import { LAYOUT, type Shard, shardNamed } from '@stillpoint/shared/manifest';
import type { StoredFile } from '../../archive/index.ts';
import type { ServerLock } from '../../mariadb/lock.ts';
import { formatPosition } from '../../mariadb/position.ts';
import type { ServerImage } from '../part.ts';
import type { Storing } from '../storing.ts';
import type { BackupInfo } from './backup-info.ts';
import type { Measured } from './measure.ts';

/** What the file of a full image is called, and what is in it. */
export const nameOfImage = ({ recipients }: Storing): Pick<Shard, 'name' | 'encoding'> =>
  shardNamed(LAYOUT.mariadbFull, 'mbstream+zstd', recipients.length > 0);

/** The image is that of the still point: the lock was held all the time, and the tool saw the position under it. Throws CAPTURE_MOVED, HOLD_LOST or ATTEST_FAILED. */
export async function requireStill(lock: ServerLock, { position }: BackupInfo): Promise<void> {
  await lock.attest();
  if (!lock.position.logBin && position === undefined) return;
  if (position !== undefined && (await lock.standsAt(position))) return;
  const seen = position === undefined ? 'none' : `${position.file}:${position.offset} (${position.gtid})`;
  throw new StillpointError(
    'CAPTURE_MOVED',
    `mariadb-backup recorded position ${seen}, under the lock it was ${formatPosition(lock.position)}`,
  );
}

/** A full image, as it is told of in the part. */
export function fullImage(storing: Storing, stored: StoredFile, info: BackupInfo, { dataBytes, settings }: Measured): ServerImage {
  return {
    shard: { ...nameOfImage(storing), content: 'mariadb-full', storedBytes: stored.bytes, sha256: stored.sha256 },
    dataBytes,
    backupToolVersion: info.toolVersion,
    fromLsn: info.fromLsn,
    toLsn: info.toLsn,
    lastLsn: info.lastLsn,
    server: { version: settings.version, serverId: settings.serverId, datadir: settings.datadir, port: settings.port },
  };
}
