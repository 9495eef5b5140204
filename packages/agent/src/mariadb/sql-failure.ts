import { errnoOf, StillpointError } from '@stillpoint/shared/errors';
import type { Account } from './session.ts';

/**
 * What the server answered instead of a result. It carries neither the statement nor the driver's own error:
 * statements may hold passwords.
 */
export class SqlFailure extends Error {
  /** Number of the server's error, for example 1205. */
  readonly errno: number;

  constructor(errno: number, message: string) {
    super(message);
    this.name = 'SqlFailure';
    this.errno = errno;
  }
}

/** Error numbers of the server that are acted upon. */
export const SQL_ERROR = {
  LOCK_WAIT_TIMEOUT: 1205,
  STATEMENT_TIMEOUT: 1969,
  QUERY_INTERRUPTED: 1317,
  NO_SUCH_THREAD: 1094,
} as const;

const REFUSED = new Set([1044, 1045, 1130, 1698, 1862, 4151]);
const NOT_PRIVILEGED = new Set([1044, 1142, 1143, 1227, 1370]);
const CONNECTION_KILLED = 1927;
const SHUTTING_DOWN = 1053;

const numberOf = (error: unknown): number | undefined => {
  const errno = (error as { errno?: unknown } | null)?.errno;
  return typeof errno === 'number' && errno > 0 ? errno : undefined;
};
const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Why no connection came about. */
export function connectFailure(error: unknown, account: Account): StillpointError {
  const server = `MariaDB server on ${account.socket}`;
  const errno = numberOf(error);
  if (errno !== undefined && REFUSED.has(errno)) {
    return new StillpointError('ACCESS_DENIED', `User ${account.user} cannot log in to the ${server}: ${textOf(error)}`);
  }
  if (errno !== undefined) return new StillpointError('SERVER_DOWN', `The ${server} takes no connection: ${textOf(error)}`);
  const system = errnoOf(error);
  if (system === 'AUTH_SWITCH_PLUGIN_ERROR') {
    return new StillpointError('ACCESS_DENIED', `User ${account.user} cannot log in to the ${server}: ${textOf(error)}`, {
      hint: 'Let the account authenticate by mysql_native_password or unix_socket.',
    });
  }
  if (system === 'EACCES') {
    return new StillpointError('SERVER_DOWN', `The ${server} cannot be reached: no permission to open the socket`, {
      hint: 'Run the agent as root or as the account of the server.',
    });
  }
  const why = system === 'ENOENT' ? 'there is no such socket' : system === 'ECONNREFUSED' ? 'nobody listens there' : textOf(error);
  return new StillpointError('SERVER_DOWN', `The ${server} does not answer: ${why}`);
}

/** The connection broke. */
export const connectionGone = (account: Account, why = 'the server closed it'): StillpointError =>
  new StillpointError('SERVER_DOWN', `The connection to the MariaDB server on ${account.socket} is gone: ${why}`);

/** What a failed statement means. */
export function queryFailure(error: unknown, account: Account): Error {
  const errno = numberOf(error);
  if (errno === undefined || errno === CONNECTION_KILLED || errno === SHUTTING_DOWN) return connectionGone(account, textOf(error));
  if (NOT_PRIVILEGED.has(errno)) {
    return new StillpointError('PRIVILEGE_MISSING', `User ${account.user} of the MariaDB server on ${account.socket}: ${textOf(error)}`);
  }
  return new SqlFailure(errno, textOf(error));
}
