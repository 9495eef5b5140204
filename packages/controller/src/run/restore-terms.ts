import { type ErrorCode, StillpointError } from '@stillpoint/shared/errors';

/** Codes that say that no set was made, and what they are in a restore. */
const OF_RESTORE: Partial<Record<ErrorCode, ErrorCode>> = {
  DISK_FULL: 'RESTORE_DISK_FULL',
  TASK_INTERRUPTED: 'RESTORE_INTERRUPTED',
  TASK_UNKNOWN: 'RESTORE_INTERRUPTED',
};

/** The failure of a restore: agents tell what happened to a task, which ends a backup and a restore in different ways. */
export function inTermsOfRestore(error: StillpointError): StillpointError {
  const code = OF_RESTORE[error.code];
  if (code === undefined) return error;
  const { message, node, blockers, cause } = error;
  const hint = error.hint === error.row.hint ? undefined : error.hint;
  return new StillpointError(code, message, { hint, node, blockers, cause });
}
