/**
 * The schema, one entry a version: an entry brings a database of the version before it to its own. Never changed once
 * released, only added to.
 */
export const SCHEMA_VERSIONS: readonly string[] = [
  `
  -- One row an operation, in its present state.
  CREATE TABLE operations (
    id TEXT PRIMARY KEY,
    cluster TEXT NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    set_id TEXT NOT NULL DEFAULT '',
    plan_id TEXT NOT NULL DEFAULT '',
    -- Names, as JSON.
    nodes TEXT NOT NULL DEFAULT '[]',
    started_at TEXT NOT NULL,
    ended_at TEXT NOT NULL DEFAULT '',
    -- The process that runs it, as JSON; empty when none does.
    owner TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT '',
    -- 1 from the first set.json that may have been written until all were, or all were removed.
    commit_open INTEGER NOT NULL DEFAULT 0,
    -- 1 while nodes may be claimed for it.
    claims_open INTEGER NOT NULL DEFAULT 0
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX operations_by_state ON operations (cluster, state, kind);

  -- One row a step of an operation on a node (empty for all nodes), in its latest attempt.
  CREATE TABLE steps (
    operation_id TEXT NOT NULL REFERENCES operations (id),
    step TEXT NOT NULL,
    node TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    state TEXT NOT NULL,
    started_at TEXT NOT NULL,
    ended_at TEXT NOT NULL DEFAULT '',
    result TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (operation_id, step, node)
  ) STRICT, WITHOUT ROWID;

  -- What a list shows, without having to read manifests.
  CREATE TABLE sets (
    set_id TEXT NOT NULL,
    cluster TEXT NOT NULL,
    operation_id TEXT NOT NULL,
    state TEXT NOT NULL,
    cut_at TEXT NOT NULL,
    nodes TEXT NOT NULL,
    stored_bytes INTEGER NOT NULL,
    data_bytes INTEGER NOT NULL,
    blocked_ms REAL NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    recorded_at TEXT NOT NULL,
    PRIMARY KEY (cluster, set_id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX sets_by_time ON sets (cluster, cut_at);

  -- Apart from their sets, so that a list does not drag them along.
  CREATE TABLE manifests (
    cluster TEXT NOT NULL,
    set_id TEXT NOT NULL,
    manifest BLOB NOT NULL,
    PRIMARY KEY (cluster, set_id),
    FOREIGN KEY (cluster, set_id) REFERENCES sets (cluster, set_id) ON DELETE CASCADE
  ) STRICT;

  CREATE TABLE plans (
    id TEXT PRIMARY KEY,
    cluster TEXT NOT NULL,
    created_at TEXT NOT NULL,
    plan TEXT NOT NULL
  ) STRICT;
  `,
  `
  -- Counts the changes of a cluster's sets. Clocks go back; this does not.
  CREATE TABLE generations (cluster TEXT PRIMARY KEY, generation INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  ALTER TABLE sets ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;

  -- Sets that were removed, so that a look into repositories which began before does not bring them back.
  CREATE TABLE removals (
    cluster TEXT NOT NULL,
    set_id TEXT NOT NULL,
    generation INTEGER NOT NULL,
    PRIMARY KEY (cluster, set_id)
  ) STRICT, WITHOUT ROWID;
  `,
  `
  -- 1 for a set that is marked as protected on some node.
  ALTER TABLE sets ADD COLUMN protected INTEGER NOT NULL DEFAULT 0;

  -- Sets whose deletion was begun, until nothing of them is left on any node.
  CREATE TABLE deletions (
    cluster TEXT NOT NULL,
    set_id TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (cluster, set_id)
  ) STRICT, WITHOUT ROWID;
  `,
];
