import { StillpointError } from '@stillpoint/shared/errors';
import { LAYOUT, type Shard, shardNamed } from '@stillpoint/shared/manifest';
import type { StoredFile } from '../../archive/index.ts';
import type { ServerLock } from '../../mariadb/lock.ts';
import { formatPosition } from '../../mariadb/position.ts';
import type { ServerImage } from '../part.ts';
import type { Storing } from '../storing.ts';
import type { BackupInfo } from './backup-info.ts';
import type { Basis } from './basis.ts';
import type { Measured } from './measure.ts';

/** What the file of an image is called, and how to read it: a full one, or one that builds upon others. */
export const nameOfImage = ({ recipients }: Storing, basis: Basis | undefined): Pick<Shard, 'name' | 'encoding'> =>
  shardNamed(basis === undefined ? LAYOUT.mariadbFull : LAYOUT.mariadbIncremental, 'mbstream+zstd', recipients.length > 0);

/** The same of an increment that builds upon the other image of its part. */
export const nameOfDelta = ({ recipients }: Storing): Pick<Shard, 'name' | 'encoding'> =>
  shardNamed(LAYOUT.mariadbDelta, 'mbstream+zstd', recipients.length > 0);

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

/** The stored file of an image. */
export const imageShard = (storing: Storing, basis: Basis | undefined, { bytes, sha256 }: StoredFile): Shard => ({
  ...nameOfImage(storing, basis),
  content: basis === undefined ? 'mariadb-full' : 'mariadb-incremental',
  storedBytes: bytes,
  sha256,
});

/** What an image consists of. */
export interface TakenImage {
  readonly shard: Shard;
  /** What `shard` is an increment of, if that lies in the same part. */
  readonly base?: Shard;
  readonly info: BackupInfo;
  /** What the images build upon in other sets. */
  readonly basis: Basis | undefined;
}

/** An image, as it is told of in the part. */
export function serverImage({ base, basis, info, shard }: TakenImage, { dataBytes, incarnation, settings }: Measured): ServerImage {
  return {
    shard,
    base,
    chain: basis?.chain,
    incarnation,
    dataBytes,
    backupToolVersion: info.toolVersion,
    fromLsn: info.fromLsn,
    toLsn: info.toLsn,
    lastLsn: info.lastLsn,
    server: { version: settings.version, serverId: settings.serverId, datadir: settings.datadir, port: settings.port },
  };
}
