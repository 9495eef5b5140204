import type { ErrorCode, StillpointError } from '@stillpoint/shared/errors';
import { restated } from '../agents/restated.ts';

/** Codes that say that no set was made, and what they are in a restore. */
const OF_RESTORE: Partial<Record<ErrorCode, ErrorCode>> = {
  DISK_FULL: 'RESTORE_DISK_FULL',
  TASK_INTERRUPTED: 'RESTORE_INTERRUPTED',
  TASK_UNKNOWN: 'RESTORE_INTERRUPTED',
  BRM_FAILED: 'ENGINE_SERVICE_FAILED',
};

/** The failure of a restore: agents tell what happened to a task, which ends a backup and a restore in different ways. */
export function inTermsOfRestore(error: StillpointError): StillpointError {
  const code = OF_RESTORE[error.code];
  if (code === undefined) return error;
  return restated(error, { code, hint: error.hint === error.row.hint ? undefined : error.hint });
}
