import type { ColumnstoreCluster } from './cluster.ts';

/** Stops engine and server on every node and deletes the data of both; what is configured stays, and so do the agents. */
export async function loseEverything(cluster: ColumnstoreCluster): Promise<void> {
  await cluster.stop();
  await Promise.all(
    cluster.nodes.map((node) => node.sh('rm -rf /var/lib/mysql /var/lib/columnstore/data? /var/lib/columnstore/data?? && ls /var/lib')),
  );
}
