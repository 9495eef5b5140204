/**
 * Exit codes of the `stillpoint` command. Documented and stable; a code not listed here means failure too.
 */
export const EXIT = {
  OK: 0,
  INTERNAL: 1,
  USAGE: 2,
  CONFIG: 3,
  CHECK_FAILED: 4,
  UNREACHABLE: 5,
  BUSY: 6,
  LOCK: 7,
  BACKUP_FAILED: 8,
  VERIFY_FAILED: 9,
  RESTORE_REFUSED: 10,
  RESTORE_FAILED: 11,
  NOT_FOUND: 12,
  SECURITY: 13,
  INTERRUPTED: 130,
} as const;

export type ExitName = keyof typeof EXIT;
