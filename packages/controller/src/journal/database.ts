import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { StillpointError } from '@stillpoint/shared/errors';
import { SCHEMA_VERSIONS } from './schema.ts';

type Parameters = Record<string, SQLInputValue>;

/** The controller's own database. Every method throws CATALOG_UNUSABLE, naming the file. */
export interface Database {
  readonly path: string;
  run(sql: string, parameters?: Parameters): void;
  /** The first row, of whatever columns the statement selects. */
  get<R>(sql: string, parameters?: Parameters): R | undefined;
  all<R>(sql: string, parameters?: Parameters): R[];
  /** Runs `work` as one transaction that no other process writes beside. What `work` throws rolls it back. */
  transaction<R>(work: () => R): R;
  close(): void;
}

/** How long to wait for another process that writes, ms. */
const BUSY_TIMEOUT_MS = 10_000;

/**
 * Opens `<stateDir>/stillpoint.db`, making it or bringing it to the present schema. Every commit is on disk before it
 * returns: a journal that a power cut can take back would be none. Throws CATALOG_UNUSABLE.
 */
export function openDatabase(stateDir: string): Database {
  const path = join(stateDir, 'stillpoint.db');
  const guard = <R>(work: () => R): R => {
    try {
      return work();
    } catch (error) {
      throw unusable(path, error);
    }
  };
  const db = guard(() => {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 });
    return new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS, enableForeignKeyConstraints: true });
  });
  const statements = new Map<string, StatementSync>();
  const prepared = (sql: string): StatementSync => {
    const statement = statements.get(sql) ?? db.prepare(sql);
    statements.set(sql, statement);
    return statement;
  };
  const transaction = <R>(work: () => R): R => {
    guard(() => db.exec('BEGIN IMMEDIATE'));
    try {
      const result = work();
      guard(() => db.exec('COMMIT'));
      return result;
    } catch (error) {
      if (db.isTransaction) db.exec('ROLLBACK');
      throw error;
    }
  };
  try {
    guard(() => db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;'));
    transaction(() => guard(() => migrate(db)));
  } catch (error) {
    db.close();
    throw error;
  }
  return {
    path,
    run: (sql, parameters = {}) => guard(() => void prepared(sql).run(parameters)),
    get: <R>(sql: string, parameters: Parameters = {}) => guard(() => prepared(sql).get(parameters) as R | undefined),
    all: <R>(sql: string, parameters: Parameters = {}) => guard(() => prepared(sql).all(parameters) as R[]),
    transaction,
    close: () => db.close(),
  };
}

function migrate(db: DatabaseSync): void {
  const row = db.prepare('PRAGMA user_version').get() as { user_version: number };
  if (row.user_version > SCHEMA_VERSIONS.length) {
    throw new Error(`it is of schema ${row.user_version}, written by a newer Stillpoint; this one knows ${SCHEMA_VERSIONS.length}`);
  }
  for (const sql of SCHEMA_VERSIONS.slice(row.user_version)) db.exec(sql);
  db.exec(`PRAGMA user_version = ${SCHEMA_VERSIONS.length}`);
}

function unusable(path: string, cause: unknown): StillpointError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new StillpointError('CATALOG_UNUSABLE', `${path}: ${why}`, {
    cause,
    hint:
      'Check its permissions and the disk. If it is broken, move it and its -wal and -shm files away: ' +
      '`stillpoint backup list --rescan` finds the sets again; the history of operations is lost. A restore that is not settled is rolled ' +
      'back or finished by its id all the same; `stillpoint cluster show` tells it.',
  });
}
