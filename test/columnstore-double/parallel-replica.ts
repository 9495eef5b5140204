import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../harness/eventually.ts';
import { startServer, type TestServer } from '../harness/mariadb-server.ts';

/** A server that replicates, by worker threads, from one that is written to all the time. */
export interface Replicating {
  end(): Promise<void>;
}

/** Another domain than the replica's own, which is written to as well. */
const DOMAIN = 7;
const WRITERS = 3;

export async function replicateInParallel(replica: TestServer): Promise<Replicating> {
  const source = await startServer({ name: 'source', serverId: 9, options: { gtid_domain_id: String(DOMAIN) } });
  await source.sql(`CREATE USER repl@'%' IDENTIFIED BY 'secret'; GRANT REPLICATION SLAVE ON *.* TO repl@'%';
    CREATE DATABASE replicated; CREATE TABLE replicated.t (id INT AUTO_INCREMENT PRIMARY KEY)`);
  await replica.sql(`SET GLOBAL slave_parallel_threads = 4;
    CHANGE MASTER TO MASTER_HOST = '${source.address}', MASTER_PORT = ${source.port}, MASTER_USER = 'repl', MASTER_PASSWORD = 'secret',
      MASTER_USE_GTID = slave_pos;
    START SLAVE`);
  let isOver = false;
  const writing = Array.from({ length: WRITERS }, async () => {
    const client = await source.root();
    while (!isOver) {
      await client.query('INSERT INTO replicated.t () VALUES ()');
      await delay(1);
    }
    await client.end();
  });
  const replicated = () =>
    replica.sql('SELECT COUNT(*) AS n FROM replicated.t').then(
      ([row]) => Number(row?.n),
      () => 0,
    );
  await eventually(async () => (await replicated()) > 10);
  return {
    end: async () => {
      isOver = true;
      await Promise.all(writing);
      await replica.sql('STOP SLAVE; RESET SLAVE ALL; SET GLOBAL slave_parallel_threads = 0');
      await source.remove();
    },
  };
}
