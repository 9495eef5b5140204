import { connect, type Socket } from 'node:net';
import { readSecret } from '@stillpoint/shared/config';
import { StillpointError } from '@stillpoint/shared/errors';
import { type Connection, createConnection, type QueryError } from 'mysql2';
import type { MariadbConfig } from '../config/schema.ts';
import { connectFailure, connectionGone, queryFailure } from './sql-failure.ts';

/** How to reach a server on this host. */
export interface Account {
  readonly socket: string;
  readonly user: string;
  /** Undefined for accounts that the operating system authenticates. */
  readonly password?: string | undefined;
}

/** A row as it comes; integers beyond 2^53 are strings, dates are strings. */
export type Row = Readonly<Record<string, unknown>>;

/** One connection to the server. It never reconnects: when it is gone, it is gone, with its locks. */
export interface Session {
  readonly connectionId: number;
  /** Descriptor of the connection in this process, for one that is to keep it open when this one is killed; undefined once it is closed. */
  readonly descriptor: number | undefined;
  /** Aborted when the connection is gone, with SERVER_DOWN as reason; also after close() and destroy(). */
  readonly gone: AbortSignal;
  /**
   * Runs one statement and gives its rows; none for a statement without a result. An abort destroys the connection and
   * throws the signal's reason; the server may go on with the statement for a while.
   * Throws SqlFailure for what the server refuses, PRIVILEGE_MISSING, or SERVER_DOWN when the connection is gone.
   */
  query(sql: string, values?: readonly unknown[], signal?: AbortSignal): Promise<readonly Row[]>;
  ping(signal?: AbortSignal): Promise<void>;
  /** Says goodbye to the server. Never throws. */
  close(): Promise<void>;
  /** Cuts the connection at once. */
  destroy(): void;
}

const CONNECT_TIMEOUT_MS = 5_000;
const GOODBYE_MS = 1_000;

/** The agent's account, its password read from its file. Throws CONFIG_FILE_UNREADABLE. */
export function accountOf(config: Pick<MariadbConfig, 'socket' | 'user' | 'passwordFile'>): Account {
  const password = config.passwordFile === undefined ? undefined : readSecret(config.passwordFile, 'mariadb.passwordFile');
  return { socket: config.socket, user: config.user, password };
}

/** Connects. Throws SERVER_DOWN, ACCESS_DENIED or the signal's reason. */
export async function openSession(account: Account, signal?: AbortSignal): Promise<Session> {
  signal?.throwIfAborted();
  const socket = connect(account.socket);
  const connection = createConnection({
    stream: socket,
    user: account.user,
    ...(account.password === undefined ? {} : { password: account.password }),
    charset: 'utf8mb4',
    multipleStatements: false,
    supportBigNumbers: true,
    dateStrings: true,
    connectTimeout: CONNECT_TIMEOUT_MS,
  });
  // Without a listener a lost connection would end the process.
  connection.on('error', () => undefined);
  try {
    await aborting(connection, signal, (done) => connection.connect(done));
    // The driver quotes values with backslashes, which a global NO_BACKSLASH_ESCAPES would undo; and an open transaction
    // where none was meant would keep old row versions alive.
    await aborting(connection, signal, (done) => connection.query(`SET SESSION sql_mode = 'NO_ENGINE_SUBSTITUTION', autocommit = 1`, done));
  } catch (error) {
    connection.destroy();
    throw signal?.aborted ? signal.reason : connectFailure(error, account);
  }
  return sessionOver(connection, socket, account);
}

function sessionOver(connection: Connection, socket: Socket, account: Account): Session {
  const gone = new AbortController();
  const markGone = (why?: string): void => gone.abort(connectionGone(account, why));
  connection.on('error', (error) => markGone(error.message));
  connection.on('end', () => markGone());

  const run = async <T>(signal: AbortSignal | undefined, start: Start<T>): Promise<T> => {
    if (gone.signal.aborted) throw gone.signal.reason;
    try {
      return await aborting(connection, signal === undefined ? gone.signal : AbortSignal.any([signal, gone.signal]), start);
    } catch (error) {
      if (signal?.aborted) {
        markGone('the agent cut it');
        throw signal.reason;
      }
      const failure = error instanceof StillpointError ? error : queryFailure(error, account);
      if (failure instanceof StillpointError && failure.code === 'SERVER_DOWN') gone.abort(failure);
      throw failure;
    }
  };

  const cut = (): void => {
    connection.destroy();
    markGone('it was closed');
  };

  return {
    connectionId: connection.threadId ?? 0,
    get descriptor() {
      return descriptorOf(socket);
    },
    gone: gone.signal,
    query: async (sql, values, signal) => {
      const result = await run<unknown>(signal, (done) => connection.query(sql, values === undefined ? [] : [...values], done));
      return Array.isArray(result) ? (result as Row[]) : [];
    },
    ping: (signal) => run<void>(signal, (done) => connection.ping((error) => done(error as QueryError | null))),
    close: async () => {
      if (gone.signal.aborted) return;
      const slow = setTimeout(cut, GOODBYE_MS);
      await new Promise<void>((resolve) => {
        gone.signal.addEventListener('abort', () => resolve(), { once: true });
        connection.end(() => resolve());
      });
      clearTimeout(slow);
      markGone('it was closed');
    },
    destroy: cut,
  };
}

/** Node tells it nowhere else. */
function descriptorOf(socket: Socket): number | undefined {
  const fd = (socket as { readonly _handle?: { readonly fd?: number } | null })._handle?.fd;
  return fd !== undefined && fd >= 0 ? fd : undefined;
}

type Start<T> = (done: (error: QueryError | null, value?: T) => void) => void;

/**
 * Waits for a callback of the driver. An abort destroys the connection, which is the only way to stop waiting for it;
 * the driver never calls back then.
 */
function aborting<T>(connection: Connection, signal: AbortSignal | undefined, start: Start<T>): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const abort = (): void => {
      connection.destroy();
      reject(signal?.reason);
    };
    if (signal?.aborted) {
      abort();
      return;
    }
    signal?.addEventListener('abort', abort, { once: true });
    start((error, value) => {
      signal?.removeEventListener('abort', abort);
      if (error) reject(error);
      else resolve(value as T);
    });
  });
}
