import type { MariadbConfig } from '../config/schema.ts';

/** How to reach a server on this host. */
export interface Account {
  readonly socket: string;
  readonly user: string;
  /** Undefined for accounts that the operating system authenticates. */
  readonly password?: string | undefined;
}

/** A row as mysql2 gives it; integers beyond 2^53 are strings. */
export type Row = Readonly<Record<string, unknown>>;

/** One connection to the server. It never reconnects: when it is gone, it is gone, with its locks. */
export interface Session {
  readonly connectionId: number;
  /** Aborted when the connection is gone, with the error (StillpointError SERVER_DOWN) as reason; also after close(). */
  readonly gone: AbortSignal;
  /** Runs one statement and gives its rows; none for a statement without a result. Aborting destroys the connection. */
  query(sql: string, values?: readonly unknown[], signal?: AbortSignal): Promise<readonly Row[]>;
  ping(): Promise<void>;
  /** Says goodbye to the server. */
  close(): Promise<void>;
  /** Cuts the connection at once. */
  destroy(): void;
}

/** The agent's account, its password read from its file. Throws CONFIG_FILE_UNREADABLE. */
export declare function accountOf(config: MariadbConfig): Account;

/** Connects. Throws SERVER_DOWN or ACCESS_DENIED. */
export declare function openSession(account: Account, signal?: AbortSignal): Promise<Session>;
