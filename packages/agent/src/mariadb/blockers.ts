import type { BlockingSession } from '@stillpoint/shared/errors';
import type { Row, Session } from './session.ts';

/** Modes of the backup lock that keep the global read lock out; those of backup stages and of other read locks do not. */
const BLOCKING = [
  'MDL_BACKUP_DML',
  'MDL_BACKUP_TRANS_DML',
  'MDL_BACKUP_SYS_DML',
  'MDL_BACKUP_DDL',
  'MDL_BACKUP_ALTER_COPY',
  'MDL_BACKUP_COMMIT',
];

/**
 * Sessions that keep the global read lock from being granted. Needs PROCESS.
 *
 * With the plugin metadata_lock_info this is exact. Without it: running statements that write, and, when there are none but
 * a table is in use, as by LOCK TABLES, all sessions, idle or reading: one of them must be the holder.
 * `ours` are the connections of this agent.
 */
export async function findBlockers(session: Session, ours: readonly number[], signal?: AbortSignal): Promise<BlockingSession[]> {
  const exact = await hasLockInfo(session, signal);
  return exact ? lockHolders(session, ours, signal) : suspects(session, ours, signal);
}

/** True when the server tells exactly who holds which lock. */
export async function hasLockInfo(session: Session, signal?: AbortSignal): Promise<boolean> {
  const rows = await session.query(
    "SELECT 1 FROM information_schema.plugins WHERE plugin_name = 'METADATA_LOCK_INFO' AND plugin_status = 'ACTIVE'",
    [],
    signal,
  );
  return rows.length > 0;
}

/** Sessions that hold what keeps the global read lock out, by the plugin metadata_lock_info. Throws SqlFailure without it. */
export async function lockHolders(session: Session, ours: readonly number[], signal?: AbortSignal): Promise<BlockingSession[]> {
  const rows = await session.query(
    `SELECT p.id, p.user, p.host, p.command, p.time_ms, p.info, m.lock_mode
       FROM information_schema.metadata_lock_info m JOIN information_schema.processlist p ON p.id = m.thread_id
      WHERE m.lock_type = 'Backup lock' AND m.lock_mode IN (?) AND p.id NOT IN (?)
      ORDER BY p.time_ms DESC`,
    [BLOCKING, ours],
    signal,
  );
  const sessions = new Map(rows.map((row) => [row.id, blocker(row, String(row.lock_mode))]));
  return [...sessions.values()];
}

/** Statements that take the backup lock, as far as their first word tells. */
const WRITES =
  '^[[:space:](]*(INSERT|UPDATE|DELETE|REPLACE|LOAD|CREATE|ALTER|DROP|TRUNCATE|RENAME|OPTIMIZE|REPAIR|ANALYZE|LOCK|GRANT|REVOKE|CALL|WITH|SET[[:space:]]+STATEMENT|EXECUTE|BEGIN[[:space:]]+NOT|SELECT.*FOR[[:space:]]+UPDATE|COMMIT|XA)';

async function suspects(session: Session, ours: readonly number[], signal?: AbortSignal): Promise<BlockingSession[]> {
  const running = await session.query(
    `SELECT id, user, host, command, time_ms, info FROM information_schema.processlist
      WHERE id NOT IN (?) AND state <> 'Waiting for backup lock'
        AND (command IN ('Query', 'Execute') AND info RLIKE ? OR command IN ('Slave_SQL', 'Slave_worker') AND info IS NOT NULL)
      ORDER BY time_ms DESC`,
    [ours, WRITES],
    signal,
  );
  if (running.length > 0) return running.map((row) => blocker(row, ''));
  return holderSuspects(session, ours, signal);
}

/** LOCK TABLES outlives its statement: whoever holds a table may be idle or run anything since. */
async function holderSuspects(session: Session, ours: readonly number[], signal?: AbortSignal): Promise<BlockingSession[]> {
  const locked = (await session.query('SHOW OPEN TABLES WHERE In_use > 0', [], signal)).map((row) => `${row.Database}.${row.Table}`);
  if (locked.length === 0) return [];
  const all = await session.query(
    `SELECT id, user, host, command, time_ms, info FROM information_schema.processlist
      WHERE id NOT IN (?) AND command IN ('Sleep', 'Query', 'Execute') AND COALESCE(state, '') <> 'Waiting for backup lock'
      ORDER BY time_ms DESC LIMIT 20`,
    [ours],
    signal,
  );
  const note = `it may hold LOCK TABLES on ${locked.slice(0, 3).join(', ')}`;
  return all.map((row) => {
    const told = blocker(row, '');
    return { ...told, statement: told.statement === '' ? `(idle; ${note})` : `${told.statement} (${note})` };
  });
}

const STATEMENT_HEAD = 120;

function blocker(row: Row, lockMode: string): BlockingSession {
  const text = (name: string): string => String(row[name] ?? '');
  return {
    connectionId: Number(row.id),
    user: text('user'),
    host: text('host'),
    ageMs: Number(row.time_ms ?? 0),
    command: text('command'),
    statement: statementHead(text('info')),
    lockMode,
  };
}

/** The first 120 characters of a statement on one line, cut before any password in it. */
export function statementHead(statement: string): string {
  const line = statement.replaceAll(/\s+/g, ' ').trim();
  const secret = /\b(?:identified\s+(?:by|via|with)|password\s*[(=]|(?:set|master_)password)/i.exec(line);
  const shown = secret === null ? line : `${line.slice(0, secret.index + secret[0].length)} ***`;
  return shown.slice(0, STATEMENT_HEAD);
}
