import { createConnection } from 'mysql2/promise';
import { eventually } from './eventually.ts';
import type { TestServer } from './mariadb-server.ts';

/** A session that stands in the way of a global lock. */
export interface BlockingClient {
  readonly connectionId: number;
  end(): Promise<void>;
}

/** Statements that a global read lock has to wait for. */
export const BLOCKERS = {
  'a running UPDATE': "UPDATE shop.customers SET name = CONCAT(name, '') WHERE id = 1 AND SLEEP(60) = 0",
  'a running DDL': 'CREATE TABLE shop.slow AS SELECT SLEEP(60) AS slept',
  'an idle LOCK TABLES WRITE': 'LOCK TABLES shop.customers WRITE',
} as const;

/** Opens a session as `user` and waits until it is in the way. */
export async function startBlocker(server: TestServer, user: string, password: string, statement: string): Promise<BlockingClient> {
  const connection = await createConnection({ socketPath: server.socket, user, password });
  connection.on('error', () => undefined);
  const connectionId = connection.threadId;
  // It may be killed before it is done; nobody waits for it.
  connection.query(statement).catch(() => undefined);
  await eventually(async () => {
    const held = await server.sql(
      `SELECT 1 FROM information_schema.metadata_lock_info WHERE thread_id = ${connectionId} AND lock_type = 'Backup lock'`,
    );
    return held.length > 0;
  });
  return {
    connectionId,
    end: async () => {
      await server.sql(`KILL ${connectionId}`).catch(() => undefined);
      connection.destroy();
      await eventually(
        async () => (await server.sql(`SELECT 1 FROM information_schema.processlist WHERE id = ${connectionId}`)).length === 0,
      );
    },
  };
}
