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
  DELETE_REFUSED: 14,
  INTERRUPTED: 130,
} as const;

export type ExitName = keyof typeof EXIT;

/** What each exit code says, for help pages and the reference. */
export const EXIT_MEANING: Readonly<Record<ExitName, string>> = {
  OK: 'Everything that was asked for was done.',
  INTERNAL: 'A bug in Stillpoint.',
  USAGE: 'The command line is not understood, or a destructive command was not confirmed.',
  CONFIG: 'A configuration file, or a file that it names, is missing, unreadable or wrong.',
  CHECK_FAILED: 'A node is not fit for the operation.',
  UNREACHABLE: 'An agent cannot be reached or does not answer.',
  BUSY: 'Another operation is at work.',
  LOCK: 'The lock was not granted within its bound.',
  BACKUP_FAILED: 'No set was made; writers go on. Or it was made, but ColumnStore did not come back.',
  VERIFY_FAILED: 'A set is damaged, or a restored table differs from the cut.',
  RESTORE_REFUSED: 'The restore cannot be carried out as things are; nothing was touched.',
  RESTORE_FAILED: 'The restore failed on the way; `restore resume` goes on, `restore rollback` goes back.',
  NOT_FOUND: 'No such set, plan or operation.',
  SECURITY: 'A certificate was refused.',
  DELETE_REFUSED: 'A set was not deleted, or not everywhere: it is protected, others need it, or a node could not.',
  INTERRUPTED: 'Cancelled by a signal; nothing is held any more.',
};
