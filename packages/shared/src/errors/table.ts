import { COLUMNSTORE_ERRORS } from './columnstore.ts';
import type { ErrorRow } from './row.ts';
import { SET_ERRORS } from './sets.ts';

/**
 * The closed table of errors. Whoever raises an error picks a row; exit code, gRPC code, retry rule and the
 * reference page (docs/reference/errors.md, generated) follow from it.
 */
export const ERROR_TABLE = {
  INTERNAL: {
    exit: 'INTERNAL',
    grpc: 'INTERNAL',
    summary: 'A bug in Stillpoint.',
    hint: 'Report it with the log of the operation.',
  },
  USAGE: {
    exit: 'USAGE',
    grpc: 'INVALID_ARGUMENT',
    summary: 'The command line or a request is not understood.',
    hint: 'See `stillpoint help`.',
  },
  CANCELLED: {
    exit: 'INTERRUPTED',
    grpc: 'CANCELLED',
    summary: 'The operation was cancelled by its user.',
    hint: 'Nothing is held any more; start it again when you like.',
  },

  CONFIG_NOT_FOUND: {
    exit: 'CONFIG',
    grpc: 'FAILED_PRECONDITION',
    summary: 'A configuration file does not exist or cannot be read.',
    hint: 'Name it with --config.',
  },
  CONFIG_INVALID: {
    exit: 'CONFIG',
    grpc: 'FAILED_PRECONDITION',
    summary: 'A configuration file has a wrong key, type or value.',
    hint: 'Correct the named line and run `stillpoint config check`.',
  },
  CONFIG_FILE_UNREADABLE: {
    exit: 'CONFIG',
    grpc: 'FAILED_PRECONDITION',
    summary: 'A file that the configuration names (certificate, key, password) is missing, unreadable or unusable.',
    hint: 'Correct the path or the permissions of the named file.',
  },

  NODE_UNREACHABLE: {
    exit: 'UNREACHABLE',
    grpc: 'UNAVAILABLE',
    retryable: true,
    summary: 'The agent of a node cannot be reached.',
    hint: 'Is the agent running there? Check the address in the cluster configuration and the firewall.',
  },
  NODE_UNKNOWN: {
    exit: 'USAGE',
    grpc: 'NOT_FOUND',
    summary: 'No node of that name is configured.',
    hint: '`stillpoint cluster show` lists the nodes.',
  },
  NODE_MISMATCH: {
    exit: 'CONFIG',
    grpc: 'FAILED_PRECONDITION',
    summary: 'The agent at an address calls itself by another name than the cluster configuration does.',
    hint: 'Make `node` of the agent and `name` in the cluster configuration agree.',
  },
  VERSION_SKEW: {
    exit: 'CHECK_FAILED',
    grpc: 'FAILED_PRECONDITION',
    summary: 'Agent and controller are of versions that do not work together.',
    hint: 'Install the same version of stillpoint on every node.',
  },
  CONNECTION_LOST: {
    exit: 'UNREACHABLE',
    grpc: 'UNAVAILABLE',
    retryable: true,
    summary: 'The connection to an agent broke during a call.',
    hint: 'The agent goes on by itself or lets go by itself; look at it with `stillpoint cluster show`.',
  },
  DEADLINE: {
    exit: 'UNREACHABLE',
    grpc: 'DEADLINE_EXCEEDED',
    retryable: true,
    summary: 'An agent did not answer in time.',
    hint: 'Is its host overloaded or frozen?',
  },

  TLS_REFUSED: {
    exit: 'SECURITY',
    grpc: 'UNAUTHENTICATED',
    summary: 'The other side refused our certificate, or its certificate was refused by us.',
    hint: 'Both must be issued by the same CA (`stillpoint pki issue`) and be valid today.',
  },
  ROLE_REFUSED: {
    exit: 'SECURITY',
    grpc: 'PERMISSION_DENIED',
    summary: 'A certificate is valid but of the wrong role.',
    hint: 'Agents serve role controller only; issue one with `stillpoint pki issue --role controller`.',
  },
  TICKET_REFUSED: {
    exit: 'SECURITY',
    grpc: 'PERMISSION_DENIED',
    summary: 'A seed ticket is unknown, expired, or for another set.',
    hint: 'Run the restore again; it obtains a new one.',
  },

  NODE_BUSY: {
    exit: 'BUSY',
    grpc: 'ABORTED',
    retryable: true,
    summary: 'Another operation has claimed the node.',
    hint: 'Wait for it to end; a dead controller loses its claim within half a minute.',
  },
  OPERATION_RUNNING: {
    exit: 'BUSY',
    grpc: 'ABORTED',
    retryable: true,
    summary: 'This controller already runs an operation on the cluster.',
    hint: 'Wait for it to end.',
  },
  CLAIM_MISSING: {
    exit: 'BUSY',
    grpc: 'ABORTED',
    summary: 'The operation does not (or no longer) own the node.',
    hint: 'Its claim ran out or another operation has taken over; start again.',
  },
  RESTORE_UNFINISHED: {
    exit: 'BUSY',
    grpc: 'FAILED_PRECONDITION',
    summary: 'A restore on the node was neither finished nor rolled back.',
    hint: 'Use `stillpoint restore resume`, `restore rollback` or `restore finish` first.',
  },

  CHECK_FAILED: {
    exit: 'CHECK_FAILED',
    grpc: 'FAILED_PRECONDITION',
    summary: 'A node is not fit for the operation.',
    hint: 'See the failed checks; `stillpoint cluster check` repeats them.',
  },
  SERVER_DOWN: {
    exit: 'CHECK_FAILED',
    grpc: 'FAILED_PRECONDITION',
    retryable: true,
    summary: 'The MariaDB server of a node does not answer.',
    hint: 'Start it, or correct the socket in the agent configuration.',
  },
  ACCESS_DENIED: {
    exit: 'CHECK_FAILED',
    grpc: 'FAILED_PRECONDITION',
    summary: 'The MariaDB server refuses the account of the agent.',
    hint: 'Correct user and password file; `stillpoint agent grants` prints the SQL for the account.',
  },
  PRIVILEGE_MISSING: {
    exit: 'CHECK_FAILED',
    grpc: 'FAILED_PRECONDITION',
    summary: 'The account of the agent lacks a privilege.',
    hint: '`stillpoint agent grants` prints the SQL for it.',
  },
  TOOL_MISSING: {
    exit: 'CHECK_FAILED',
    grpc: 'FAILED_PRECONDITION',
    summary: 'A program that the agent needs is not installed.',
    hint: 'Install the distribution packages mariadb-backup and zstd.',
  },
  TOOL_MISMATCH: {
    exit: 'CHECK_FAILED',
    grpc: 'FAILED_PRECONDITION',
    summary: 'mariadb-backup and the server are of different series.',
    hint: 'Install the mariadb-backup of the series of the server.',
  },
  LAYOUT_UNSUPPORTED: {
    exit: 'CHECK_FAILED',
    grpc: 'FAILED_PRECONDITION',
    summary: 'The server keeps InnoDB or Aria files outside of its data directory.',
    hint: 'Move them into the data directory; other layouts cannot be switched atomically.',
  },
  NO_SQL_NODE: {
    exit: 'CHECK_FAILED',
    grpc: 'FAILED_PRECONDITION',
    summary: 'No node of the cluster runs a MariaDB server.',
    hint: 'Configure `mariadb` in the agents.',
  },
  FILE_REFUSED: {
    exit: 'CHECK_FAILED',
    grpc: 'FAILED_PRECONDITION',
    summary: 'The system let a file or directory not be read or written.',
    hint: 'Look at the named path on that node: its owner and mode, whether its file system is mounted, and not read-only. The agent, or the controller, works as the user that it was started as.',
  },
  SPACE_SHORT: {
    exit: 'CHECK_FAILED',
    grpc: 'RESOURCE_EXHAUSTED',
    summary: 'Not enough free space for what is planned.',
    hint: 'Free space on the named file system.',
  },

  ...COLUMNSTORE_ERRORS,

  LOCK_TIMEOUT: {
    exit: 'LOCK',
    grpc: 'ABORTED',
    retryable: true,
    summary: 'The lock was not granted within its bound; everything was released again.',
    hint: 'Look at the named sessions; try again when they are gone.',
  },
  HOLD_LOST: {
    exit: 'BACKUP_FAILED',
    grpc: 'ABORTED',
    retryable: true,
    summary: 'The connection that held the lock is gone, so the lock was not held all the time. The set is void.',
    hint: 'Was the session killed, or the agent frozen? Start again.',
  },
  LEASE_EXPIRED: {
    exit: 'BACKUP_FAILED',
    grpc: 'ABORTED',
    retryable: true,
    summary: 'The controller did not renew the hold in time; the agent let go by itself.',
    hint: 'Was the controller stopped or cut off? Start again.',
  },
  BLOCK_BUDGET: {
    exit: 'BACKUP_FAILED',
    grpc: 'ABORTED',
    summary: 'Writers would have been shut out for longer than maxBlock; the agent let go by itself.',
    hint: 'Raise backup.maxBlock, or back up at a quieter time.',
  },
  ATTEST_FAILED: {
    exit: 'BACKUP_FAILED',
    grpc: 'ABORTED',
    retryable: true,
    summary: 'A node could not prove that nothing moved during the capture. The set is void.',
    hint: 'Start again; if it persists, something on the node writes past the lock.',
  },
  CAPTURE_FAILED: {
    exit: 'BACKUP_FAILED',
    grpc: 'INTERNAL',
    retryable: true,
    summary: 'mariadb-backup or zstd failed; the part was removed.',
    hint: 'Read the named lines of the tool.',
  },
  CAPTURE_MOVED: {
    exit: 'BACKUP_FAILED',
    grpc: 'ABORTED',
    retryable: true,
    summary: 'The backup tool recorded another position than the one under the lock. The set is void.',
    hint: 'The lock was lost on the way; start again.',
  },
  DISK_FULL: {
    exit: 'BACKUP_FAILED',
    grpc: 'RESOURCE_EXHAUSTED',
    summary: 'The disk ran full; what had been written was removed.',
    hint: 'Free space on the named file system.',
  },
  TASK_INTERRUPTED: {
    exit: 'BACKUP_FAILED',
    grpc: 'ABORTED',
    retryable: true,
    summary: 'The agent was stopped or restarted in the middle of a task.',
    hint: 'Start again.',
  },
  TASK_CONFLICT: {
    exit: 'INTERNAL',
    grpc: 'ALREADY_EXISTS',
    summary: 'A task of that id was started before with another content.',
    hint: 'Report it with the log of the operation.',
  },
  TASK_UNKNOWN: {
    exit: 'BACKUP_FAILED',
    grpc: 'NOT_FOUND',
    summary: 'The agent knows no task of that id.',
    hint: 'Was its state directory removed?',
  },

  ...SET_ERRORS,
  PLAN_NOT_FOUND: {
    exit: 'NOT_FOUND',
    grpc: 'NOT_FOUND',
    summary: 'No such restore plan.',
    hint: 'Make one with `stillpoint restore plan SET`.',
  },
  OPERATION_NOT_FOUND: {
    exit: 'NOT_FOUND',
    grpc: 'NOT_FOUND',
    summary: 'No such operation in the journal.',
    hint: '`stillpoint restore list` shows the restores.',
  },
  CATALOG_UNUSABLE: {
    exit: 'CONFIG',
    grpc: 'FAILED_PRECONDITION',
    summary: 'The state directory or its database cannot be used.',
    hint: 'Check the permissions of stateDir; the catalog can be rebuilt with `stillpoint backup list --rescan`.',
  },

  MANIFEST_INVALID: {
    exit: 'VERIFY_FAILED',
    grpc: 'DATA_LOSS',
    summary: 'A manifest is not what this version understands, or was tampered with.',
    hint: 'Restore from another set.',
  },
  PART_CORRUPT: {
    exit: 'VERIFY_FAILED',
    grpc: 'DATA_LOSS',
    summary: 'Bytes of a part are missing or differ from what was written.',
    hint: 'Restore from another set; check the disk.',
  },
  KEY_MISSING: {
    exit: 'RESTORE_REFUSED',
    grpc: 'FAILED_PRECONDITION',
    summary: 'Files of a part are encrypted, and the agent has none of the identities that open them.',
    hint: 'Name a file with the identity in agent.yaml (decryption.identityFile); see docs/encryption.md.',
  },
  PROOF_FAILED: {
    exit: 'VERIFY_FAILED',
    grpc: 'DATA_LOSS',
    summary: 'A restored table does not have the checksum it had at the cut.',
    hint: 'Nothing was switched. Restore from another set.',
  },

  RESTORE_REFUSED: {
    exit: 'RESTORE_REFUSED',
    grpc: 'FAILED_PRECONDITION',
    summary: 'The plan cannot be carried out as things are.',
    hint: 'See the named problems, then make a new plan.',
  },
  PLAN_STALE: {
    exit: 'RESTORE_REFUSED',
    grpc: 'FAILED_PRECONDITION',
    summary: 'The cluster is no longer what the plan was made for, or the plan was carried out already.',
    hint: 'Make a new plan and read it.',
  },
  SERVER_RUNNING: {
    exit: 'RESTORE_REFUSED',
    grpc: 'FAILED_PRECONDITION',
    summary: 'A server that would be replaced is running.',
    hint: 'Stop it, or let the restore stop it with --stop-servers.',
  },
  CONFIRMATION_MISSING: {
    exit: 'USAGE',
    grpc: 'INVALID_ARGUMENT',
    summary: 'A destructive command was not confirmed.',
    hint: 'Say --yes.',
  },
  STAGE_FAILED: {
    exit: 'RESTORE_FAILED',
    grpc: 'INTERNAL',
    retryable: true,
    summary: 'A part could not be extracted or prepared; what was staged is removed, live data is untouched.',
    hint: 'Read the named lines of the tool.',
  },
  RESTORE_DISK_FULL: {
    exit: 'RESTORE_FAILED',
    grpc: 'RESOURCE_EXHAUSTED',
    summary: 'A disk ran full during a restore; a node that was staging has removed what it had staged.',
    hint: 'Free space on the named file system; `stillpoint restore list` tells whether the restore is to be resumed or was rolled back.',
  },
  RESTORE_INTERRUPTED: {
    exit: 'RESTORE_FAILED',
    grpc: 'ABORTED',
    retryable: true,
    summary: 'An agent was stopped or restarted in the middle of a restore.',
    hint: '`stillpoint restore resume` goes on; `restore rollback` goes back.',
  },
  SWITCH_FAILED: {
    exit: 'RESTORE_FAILED',
    grpc: 'INTERNAL',
    retryable: true,
    summary: 'A rename of the switch failed.',
    hint: '`stillpoint restore resume` goes on; `restore rollback` goes back.',
  },
  SERVICE_FAILED: {
    exit: 'RESTORE_FAILED',
    grpc: 'INTERNAL',
    retryable: true,
    summary: 'The server could not be started or stopped by the configured service driver.',
    hint: 'Read the error log of the server; then `stillpoint restore resume`.',
  },
  REPLICATION_FAILED: {
    exit: 'RESTORE_FAILED',
    grpc: 'INTERNAL',
    retryable: true,
    summary: 'Replication did not start or broke at once.',
    hint: 'Read the named error; then `stillpoint restore resume`.',
  },
  NOTHING_TO_ROLL_BACK: {
    exit: 'RESTORE_REFUSED',
    grpc: 'FAILED_PRECONDITION',
    summary: 'The node holds nothing of that restore any more.',
    hint: 'After `restore finish` the old data is gone.',
  },
} as const satisfies Record<string, ErrorRow>;

/** A code of the error table. */
export type ErrorCode = keyof typeof ERROR_TABLE;

/** True when `text` is a code of the table; peers of another version may send others. */
export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERROR_TABLE, text);
}
