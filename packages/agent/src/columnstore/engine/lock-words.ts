import type { TableLock } from '@stillpoint/shared/errors';
import { formatDuration } from '@stillpoint/shared/time';
import type { EngineProcess } from './processes.ts';

/** Programs that load in bulk: the one that a user starts, and the one that writes on each node. */
export const BULK_LOADERS = ['cpimport', 'cpimport.bin'] as const;

/** `shop.orders, locked by DMLProc (lock 26, pid 6562, session 19) for 12.3 s`. Pure. */
export function describeLock({ id, table, process, pid, session, ageMs }: TableLock): string {
  const who = session === '' ? `pid ${pid}` : `pid ${pid}, session ${session}`;
  return `${tableName(table)}, locked by ${process} (lock ${id}, ${who}) for ${formatDuration(ageMs)}`;
}

/** `cpimport (pid 12) runs on this node`. Pure. */
export const describeLoader = ({ name, pid }: EngineProcess): string => `${name} (pid ${pid}) runs on this node`;

/** A lock that is there after a resume, while no SQL client could write yet: whose it can be, and how it ends. Pure. */
export function describeStuckLock({ id, table, process, pid, session, created }: TableLock): string {
  const who = `Table ${tableName(table)} is still locked by ${process} (lock ${id}, pid ${pid}${session === '' ? '' : `, session ${session}`}) since ${created}`;
  if (process.startsWith('DMLProc')) {
    const cure = 'A new successful INSERT in that session clears it; else restart DMLProc on the primary, which rolls it back';
    return `${who}: a statement met the read-only engine, or its transaction is open. ${cure}.`;
  }
  if (isBulkLoad(process)) {
    return `${who}. When no such process runs on any node, end the lock with \`cleartablelock ${id}\`: that rolls its rows back.`;
  }
  return `${who}. Find out what that process does before you end it; \`viewtablelock\` shows when the lock is gone.`;
}

/** True for a lock that belongs to a bulk load. Pure. */
export const isBulkLoad = (process: string): boolean => BULK_LOADERS.some((name) => name === process);

const tableName = (table: string): string => table || '(a table that the system catalog does not name)';
