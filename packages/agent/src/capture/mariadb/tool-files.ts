import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { StillpointError } from '@stillpoint/shared/errors';
import { exists } from '../../host/index.ts';
import { scratchDirectory } from '../part.ts';
import { type BackupInfo, readBackupInfo } from './backup-info.ts';
import type { Basis } from './basis.ts';

/** Where mariadb-backup keeps its own files in a part that is in the making. */
const scratchOf = (part: string): string => join(part, '.mariadb-backup');

/** Where it writes down what it has copied. */
export const lsnDirectory = (scratch: string): string => join(scratch, 'lsn');

/** Makes it, empty. Throws the system's error. */
export const makeScratch = (part: string): Promise<string> => scratchDirectory(scratchOf(part));

/** Throws the system's error. */
export const removeScratch = (part: string): Promise<void> => rm(scratchOf(part), { recursive: true, force: true });

/** The signs of success that lie on disk: the tool's last file is there, and it found no damaged page. Throws CAPTURE_FAILED. */
export async function requireCompleted(part: string, basis: Pick<Basis, 'lsn'> | undefined): Promise<BackupInfo> {
  const scratch = scratchOf(part);
  const info = await readBackupInfo(lsnDirectory(scratch), basis === undefined ? 'full' : 'incremental');
  if (info === undefined)
    throw new StillpointError('CAPTURE_FAILED', 'mariadb-backup ended well, but did not write the file that comes last');
  if (basis !== undefined && info.fromLsn !== basis.lsn)
    throw new StillpointError(
      'CAPTURE_FAILED',
      `mariadb-backup copied what has changed since ${info.fromLsn}, and was asked for ${basis.lsn}`,
    );
  for (const directory of [scratch, lsnDirectory(scratch)]) {
    if (await exists(join(directory, 'innodb_corrupted_pages'))) {
      throw new StillpointError('CAPTURE_FAILED', 'mariadb-backup found damaged pages in the files of the server', {
        hint: 'Repair the server (CHECK TABLE names the tables): a backup of damaged data would be one.',
      });
    }
  }
  return info;
}
