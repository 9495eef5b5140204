import type { Database } from '../journal/database.ts';

/** The order in which the sets of a cluster changed, by a count in the place of a clock: clocks go back. */
export interface Generations {
  /** That of the latest change; 0 before the first one. */
  current(): number;
  /** Begins another one and gives it. */
  next(): number;
  /** A set was removed. */
  removed(setId: string): void;
  /** When a set was last removed; 0 for never. */
  removedAt(setId: string): number;
}

export function generationsOf(db: Database, cluster: string): Generations {
  const generation = (sql: string, parameters: Record<string, string> = {}): number =>
    db.get<{ generation: number }>(sql, { cluster, ...parameters })?.generation ?? 0;
  const next = (): number =>
    generation(
      `INSERT INTO generations (cluster, generation) VALUES ($cluster, 1)
       ON CONFLICT (cluster) DO UPDATE SET generation = generation + 1 RETURNING generation`,
    );
  return {
    current: () => generation('SELECT generation FROM generations WHERE cluster = $cluster'),
    next,
    removed: (setId) =>
      db.run('INSERT OR REPLACE INTO removals (cluster, set_id, generation) VALUES ($cluster, $setId, $generation)', {
        cluster,
        setId,
        generation: next(),
      }),
    removedAt: (setId) => generation('SELECT generation FROM removals WHERE cluster = $cluster AND set_id = $setId', { setId }),
  };
}
