import { StillpointError } from '@stillpoint/shared/errors';
import type { ReplicationSource } from '@stillpoint/shared/proto';
import { isGtidPosition } from '@stillpoint/shared/replication';
import { readSources } from './position.ts';
import type { Session } from './session.ts';

/** A server to follow, and the account on it. */
export interface SourceAccount {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
}

/** The default replication connection of a server. */
export interface ReplicaState {
  readonly source: ReplicationSource;
  /** True when a thread has given up; one that waits for its source tries again by itself. */
  readonly stopped: boolean;
}

/**
 * Gives a server its place in the history of transactions: its next one will be numbered after `position`, and
 * replicas that stand there can follow although its log is empty. It must happen before anything else is written, and
 * outlives restarts: it is kept in the table mysql.gtid_slave_pos. Gives the position as the server then tells it.
 * Throws SqlFailure or SERVER_DOWN.
 */
export async function setGtidPosition(session: Session, position: string, signal?: AbortSignal): Promise<string> {
  if (!isGtidPosition(position)) throw new Error(`"${position.slice(0, 80)}" is not a GTID position`);
  await session.query('SET GLOBAL gtid_slave_pos = ?', [position], signal);
  const [row] = await session.query('SELECT @@GLOBAL.gtid_slave_pos AS position', [], signal);
  return String(row?.position ?? '');
}

/** Asks the server to shut down in order. It ends this connection too, now and then before it has answered. Needs SHUTDOWN. */
export async function askToShutDown(session: Session, signal?: AbortSignal): Promise<void> {
  await session.query('SHUTDOWN', [], signal).catch((error: unknown) => {
    if (!(error instanceof StillpointError && error.code === 'SERVER_DOWN')) throw error;
  });
}

/** The default replication connection; undefined when the server follows nobody by it. Needs SLAVE MONITOR. */
export async function replicaState(session: Session, signal?: AbortSignal): Promise<ReplicaState | undefined> {
  const source = (await readSources(session, signal)).find(({ connectionName }) => connectionName === '');
  if (source === undefined) return undefined;
  const [row] = await session.query('SHOW SLAVE STATUS', [], signal);
  return { source, stopped: [row?.Slave_IO_Running, row?.Slave_SQL_Running].includes('No') };
}

/**
 * Makes the server follow another from its gtid_slave_pos on. Needs REPLICATION SLAVE ADMIN.
 * Throws SqlFailure, PRIVILEGE_MISSING or SERVER_DOWN, none of them with the password.
 */
export async function followSource(session: Session, { host, port, user, password }: SourceAccount, signal?: AbortSignal): Promise<void> {
  // Literals are quoted with backslashes, which some modes take literally.
  await session.query("SET SESSION sql_mode = ''", [], signal);
  await session.query('STOP SLAVE', [], signal);
  await session.query(
    'CHANGE MASTER TO MASTER_HOST = ?, MASTER_PORT = ?, MASTER_USER = ?, MASTER_PASSWORD = ?, MASTER_USE_GTID = slave_pos',
    [host, port, user, password],
    signal,
  );
  await session.query('START SLAVE', [], signal);
}

/** Starts replication that is set up and stopped. Needs REPLICATION SLAVE ADMIN. */
export async function startReplication(session: Session, signal?: AbortSignal): Promise<void> {
  await session.query('START SLAVE', [], signal);
}
