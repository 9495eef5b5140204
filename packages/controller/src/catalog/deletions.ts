import type { Database } from '../journal/database.ts';

/** A deletion that was begun and is not known to have come to its end. */
export interface Deletion {
  readonly setId: string;
  /** What is told of the set meanwhile. */
  readonly reason: string;
}

/** Deletions of a cluster's sets that are under way: whatever a node that was away still holds of such a set is to go as well. */
export interface Deletions {
  /** Newest set first. */
  all(): Deletion[];
  /** Why a set is deleted; undefined when it is not. */
  reasonOf(setId: string): string | undefined;
  begin(deletion: Deletion): void;
  end(setId: string): void;
}

export const deletionsOf = (db: Database, cluster: string): Deletions => ({
  all: () =>
    db
      .all<{ set_id: string; reason: string }>('SELECT set_id, reason FROM deletions WHERE cluster = $cluster ORDER BY set_id DESC', {
        cluster,
      })
      .map(({ set_id: setId, reason }) => ({ setId, reason })),
  reasonOf: (setId) =>
    db.get<{ reason: string }>('SELECT reason FROM deletions WHERE cluster = $cluster AND set_id = $setId', { cluster, setId })?.reason,
  begin: ({ setId, reason }) =>
    db.run('INSERT OR REPLACE INTO deletions (cluster, set_id, reason) VALUES ($cluster, $setId, $reason)', { cluster, setId, reason }),
  end: (setId) => db.run('DELETE FROM deletions WHERE cluster = $cluster AND set_id = $setId', { cluster, setId }),
});
