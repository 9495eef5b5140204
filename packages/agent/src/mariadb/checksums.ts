import { StillpointError } from '@stillpoint/shared/errors';
import type { TableChecksum, UnprovenTable } from '@stillpoint/shared/manifest';
import type { Session } from './session.ts';
import { SqlFailure } from './sql-failure.ts';
import { quoteTable } from './tables.ts';

/** A table to sum. */
export interface SummedTable {
  readonly database: string;
  readonly table: string;
  readonly engine: string;
}

/** What summing gave. */
export interface Sums {
  readonly checksums: readonly TableChecksum[];
  readonly unproven: readonly UnprovenTable[];
}

/** One table's sum, or why there is none. */
export type Sum = { readonly checksum: string } | { readonly reason: string };

/**
 * Sums one table. EXTENDED, because without it some tables answer with a live checksum of another kind.
 * Throws SERVER_DOWN or the signal's reason; what is the table's own fault is a reason.
 */
export async function sumTable(session: Session, table: SummedTable, signal?: AbortSignal): Promise<Sum> {
  try {
    const [row] = await session.query(`CHECKSUM TABLE ${quoteTable(table)} EXTENDED`, [], signal);
    if (row?.Checksum !== null && row?.Checksum !== undefined) return { checksum: String(row.Checksum) };
    const [warning] = await session.query('SHOW WARNINGS', [], signal);
    return { reason: reasonOf(warning?.Code, String(warning?.Message ?? 'the server gives no checksum')) };
  } catch (error) {
    if (error instanceof SqlFailure) return { reason: reasonOf(error.errno, error.message) };
    if (error instanceof StillpointError && error.code === 'PRIVILEGE_MISSING')
      return { reason: 'the account of the agent may not read it' };
    throw error;
  }
}

const NO_SUCH_TABLE = 1146;
/** The first comes as a warning (HA_ERR_TABLE_DEF_CHANGED), the second as an error. */
const DEFINITION_CHANGED = new Set([159, 1412]);

function reasonOf(code: unknown, message: string): string {
  if (code === NO_SUCH_TABLE) return 'it was dropped or renamed after the cut';
  return DEFINITION_CHANGED.has(Number(code)) ? 'it was altered or truncated after the cut' : message;
}

/** Sums tables one after the other, as they are now. Throws SERVER_DOWN or the signal's reason. */
export async function checksumTables(
  session: Session,
  tables: readonly SummedTable[],
  options: { readonly signal?: AbortSignal; readonly progress?: (tablesDone: number, tablesTotal: number) => void } = {},
): Promise<Sums> {
  const checksums: TableChecksum[] = [];
  const unproven: UnprovenTable[] = [];
  for (const { database, table, engine } of tables) {
    options.progress?.(checksums.length + unproven.length, tables.length);
    const sum = await sumTable(session, { database, table, engine }, options.signal);
    if ('checksum' in sum) checksums.push({ database, table, engine, checksum: sum.checksum });
    else unproven.push({ database, table, reason: sum.reason, engine });
  }
  options.progress?.(tables.length, tables.length);
  return { checksums, unproven };
}
