import { StillpointError } from '@stillpoint/shared/errors';
import { decodeSetManifest, encodeManifest, type SetManifest } from '@stillpoint/shared/manifest';
import type { Clock } from '@stillpoint/shared/time';
import type { SetState, SetSummary } from '../api.ts';
import type { Database } from '../journal/database.ts';
import { type Deletion, deletionsOf } from './deletions.ts';
import { generationsOf } from './generations.ts';

/** A set as its repositories show it. */
export interface FoundSet {
  readonly setId: string;
  readonly state: SetState;
  /** Why it is not good; empty when it is. */
  readonly reason: string;
  /** Undefined when no node has a set.json that can be read. */
  readonly set: SetManifest | undefined;
  /** Whether a node has it marked as protected. */
  readonly isProtected: boolean;
}

/** The index of sets. The repositories are the truth; this is rebuilt from them. Throws CATALOG_UNUSABLE. */
export interface Catalog {
  /** Records a set that was committed on all of its nodes. */
  add(set: SetManifest): void;
  /** The set is not to be restored any more, and whatever a later scan finds of it is to be deleted: see `deletions`. */
  beginDeletion(setId: string, reason: string): void;
  /** Nothing of the set is left. */
  remove(setId: string): void;
  /** Sets whose deletion was begun and is not known to have come to its end, with the reason that was given. */
  deletions(): Deletion[];
  /** Some node has the set marked as protected, or none has. */
  setProtected(setId: string, isProtected: boolean): void;
  /** Grows with every change. */
  generation(): number;
  /**
   * Puts what a scan found in the place of what was known. What was added, changed or removed after `since`, the generation in
   * which the scan began, stays so; kept are also the sets for which `keep` says so.
   */
  replace(found: readonly FoundSet[], since: number, keep: (known: SetSummary) => boolean): void;
  /** Newest first; with `all` also sets that failed, and backups that came to nothing. */
  list(all: boolean): SetSummary[];
  /** A set of which something can be restored. `latest` stands for the newest good one, else the newest. Throws SET_NOT_FOUND. */
  restorable(setId: string): SetManifest;
  /** A set in whatever state, as far as known. */
  find(setId: string): { readonly summary: SetSummary; readonly set: SetManifest | undefined } | undefined;
}

interface Row {
  set_id: string;
  operation_id: string;
  state: SetState;
  cut_at: string;
  nodes: string;
  stored_bytes: number;
  data_bytes: number;
  blocked_ms: number;
  reason: string;
  protected: number;
  /** Only where it was asked for. */
  parent?: string | null;
}

const COLUMNS = 'set_id, operation_id, state, cut_at, nodes, stored_bytes, data_bytes, blocked_ms, reason, protected';

/** What a set is an increment of; the manifest alone tells. */
const PARENT = `(SELECT json_extract(CAST(manifest AS TEXT), '$.parent') FROM manifests m WHERE m.cluster = sets.cluster AND m.set_id = sets.set_id) AS parent`;

/** Backups that left no set behind: only the journal knows them. */
const FAILED_BACKUPS = `
  SELECT set_id, id AS operation_id, 'failed' AS state, started_at AS cut_at, nodes,
         0 AS stored_bytes, 0 AS data_bytes, 0.0 AS blocked_ms,
         CASE reason WHEN '' THEN state ELSE reason END AS reason, 0 AS protected, NULL AS parent
  FROM operations o
  WHERE cluster = $cluster AND kind = 'backup' AND state IN ('failed', 'cancelled', 'interrupted')
    AND NOT EXISTS (SELECT 1 FROM sets s WHERE s.cluster = o.cluster AND s.set_id = o.set_id)`;

export function openCatalog(db: Database, cluster: string, clock: Clock): Catalog {
  const generations = generationsOf(db, cluster);
  const deletions = deletionsOf(db, cluster);
  const put = (found: FoundSet): void => {
    db.run(
      `INSERT OR REPLACE INTO sets (cluster, generation, recorded_at, ${COLUMNS}) VALUES ($cluster, $generation, $recordedAt, $setId, $operationId, $state,
              $cutAt, $nodes, $storedBytes, $dataBytes, $blockedMs, $reason, $protected)`,
      {
        ...parametersOf(found),
        cluster,
        generation: generations.next(),
        recordedAt: clock.now().toISOString(),
      },
    );
    if (found.set === undefined) return;
    db.run('INSERT OR REPLACE INTO manifests (cluster, set_id, manifest) VALUES ($cluster, $setId, $manifest)', {
      ...{ cluster, setId: found.setId, manifest: encodeManifest(found.set) },
    });
  };
  const manifestOf = (setId: string): SetManifest | undefined => {
    const row = db.get<{ manifest: Uint8Array }>('SELECT manifest FROM manifests WHERE cluster = $cluster AND set_id = $setId', {
      cluster,
      setId,
    });
    return row === undefined ? undefined : decodeSetManifest(row.manifest, `${db.path}: set ${setId}`);
  };
  const summary = (setId: string): SetSummary | undefined => {
    const row = db.get<Row>(`SELECT ${COLUMNS} FROM sets WHERE cluster = $cluster AND set_id = $setId`, { cluster, setId });
    return row === undefined ? undefined : summaryOf(row);
  };
  const drop = (setId: string): void => db.run('DELETE FROM sets WHERE cluster = $cluster AND set_id = $setId', { cluster, setId });
  const change = (setId: string, values: string, parameters: Record<string, string | number>): void =>
    db.run(`UPDATE sets SET ${values}, generation = $generation WHERE cluster = $cluster AND set_id = $setId`, {
      ...{ cluster, setId, generation: generations.next() },
      ...parameters,
    });
  /** Whatever is found of a set that is being deleted, it is not to be restored. */
  const unlessDeleted = (found: FoundSet): FoundSet => {
    const reason = deletions.reasonOf(found.setId);
    return reason === undefined ? found : { ...found, state: 'failed', reason };
  };
  /** It was committed everywhere, whatever became of its controller. */
  const closeCommit = (setId: string): void =>
    db.run(
      `UPDATE operations SET commit_open = 0 WHERE cluster = $cluster AND set_id = $setId AND kind = 'backup' AND state <> 'running'`,
      {
        cluster,
        setId,
      },
    );

  return {
    add: (set) => db.transaction(() => put(unlessDeleted({ setId: set.setId, state: 'good', reason: '', set, isProtected: false }))),
    beginDeletion: (setId, reason) =>
      db.transaction(() => {
        change(setId, "state = 'failed', reason = $reason", { reason });
        deletions.begin({ setId, reason });
      }),
    deletions: deletions.all,
    setProtected: (setId, isProtected) => db.transaction(() => change(setId, 'protected = $protected', { protected: isProtected ? 1 : 0 })),
    remove: (setId) =>
      db.transaction(() => {
        drop(setId);
        deletions.end(setId);
        generations.removed(setId);
      }),
    generation: generations.current,
    replace: (found, since, keep) =>
      db.transaction(() => {
        const known = db.all<Row>(`SELECT ${COLUMNS} FROM sets WHERE cluster = $cluster AND generation <= $since`, { cluster, since });
        for (const row of known) if (!keep(summaryOf(row))) drop(row.set_id);
        for (const one of found) {
          if (summary(one.setId) === undefined && generations.removedAt(one.setId) <= since) put(unlessDeleted(one));
          if (one.state === 'good') closeCommit(one.setId);
        }
      }),
    list: (all) =>
      db
        .all<Row>(
          all
            ? `SELECT ${COLUMNS}, ${PARENT} FROM sets WHERE cluster = $cluster UNION ALL ${FAILED_BACKUPS} ORDER BY cut_at DESC, set_id DESC`
            : `SELECT ${COLUMNS}, ${PARENT} FROM sets WHERE cluster = $cluster AND state <> 'failed' ORDER BY cut_at DESC, set_id DESC`,
          { cluster },
        )
        .map(summaryOf),
    restorable: (wanted) => {
      const row = db.get<Row>(
        `SELECT ${COLUMNS} FROM sets WHERE cluster = $cluster AND ($setId = 'latest' AND state <> 'failed' OR set_id = $setId)
         ORDER BY state = 'good' DESC, cut_at DESC, set_id DESC LIMIT 1`,
        { cluster, setId: wanted },
      );
      if (row === undefined) throw notFound(wanted);
      const set = manifestOf(row.set_id);
      if (row.state === 'failed' || set === undefined)
        throw new StillpointError('SET_NOT_FOUND', `set ${row.set_id} cannot be restored: ${row.reason}`);
      return set;
    },
    find: (setId) => {
      const known = summary(setId);
      return known === undefined ? undefined : { summary: known, set: manifestOf(setId) };
    },
  };
}

const notFound = (setId: string): StillpointError =>
  new StillpointError(
    'SET_NOT_FOUND',
    setId === 'latest' ? 'the catalog knows no set that can be restored' : `the catalog knows no set ${setId}`,
    {
      hint: '`stillpoint backup list --rescan` reads the repositories of all nodes.',
    },
  );

function parametersOf({ setId, state, reason, set, isProtected }: FoundSet) {
  const members = set?.members ?? [];
  const sum = (of: (member: (typeof members)[number]) => number): number => members.reduce((total, member) => total + of(member), 0);
  return {
    setId,
    state,
    reason,
    protected: isProtected ? 1 : 0,
    operationId: set?.operationId ?? '',
    cutAt: set?.cutAt ?? timeInId(setId),
    nodes: JSON.stringify(members.map(({ node }) => node)),
    storedBytes: sum((member) => member.storedBytes),
    dataBytes: sum((member) => member.dataBytes),
    blockedMs: Math.max(0, ...members.map((member) => member.blockedMs)),
  };
}

/** Set ids begin with their time, 20261121-091500. */
function timeInId(setId: string): string {
  const match = /^(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)/.exec(setId);
  return match === null ? '' : `${match[1]}-${match[2]}-${match[3]}T${match[4]}:${match[5]}:${match[6]}.000Z`;
}

const summaryOf = (row: Row): SetSummary => ({
  setId: row.set_id,
  operationId: row.operation_id,
  state: row.state,
  cutAt: row.cut_at,
  nodes: JSON.parse(row.nodes) as string[],
  storedBytes: row.stored_bytes,
  dataBytes: row.data_bytes,
  blockedMs: row.blocked_ms,
  reason: row.reason,
  isProtected: row.protected === 1,
  ...(row.parent ? { parent: row.parent } : {}),
});
