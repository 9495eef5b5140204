import { StillpointError } from '@stillpoint/shared/errors';
import type { Agent } from '../../agent.ts';
import { countRows, readCatalog } from '../../mariadb/columnstore.ts';
import type { Session } from '../../mariadb/session.ts';
import { SqlFailure } from '../../mariadb/sql-failure.ts';
import type { ServerTable } from '../../mariadb/tables.ts';
import { readEngineStatus } from '../suspend/index.ts';
import type { Engine, EngineStatus } from '../types.ts';

/** An engine that has been started, and how long it may take to answer. */
interface Awaited {
  readonly agent: Agent;
  readonly engine: Engine;
  readonly session: Session;
  readonly tables: readonly ServerTable[];
  readonly timeoutMs: number;
}

const POLL_MS = 500;

/**
 * Waits until the engine says that it is ready and a table can be read: each of them comes without the other. Without a table, its catalog is
 * read. Throws ENGINE_PROOF_FAILED with what was still wrong in the end, or as the session does.
 */
export async function untilReadable({ agent, engine, session, tables, timeoutMs }: Awaited, signal: AbortSignal): Promise<void> {
  const { clock, config } = agent;
  const deadline = clock.monotonicMs() + timeoutMs;
  for (;;) {
    const status = await readEngineStatus(engine, config.columnstore, signal);
    const problem = isUp(status) ? await readProblem(session, tables[0], signal) : `the engine says: ${status.text}`;
    if (problem === undefined) return;
    if (clock.monotonicMs() >= deadline) {
      throw new StillpointError('ENGINE_PROOF_FAILED', `The engine cannot be read within ${timeoutMs} ms of its start: ${problem}`);
    }
    await clock.sleep(POLL_MS, signal);
  }
}

/** Read-only, it does not tell whether it is ready; that it must not stay so is looked at in the end. */
const isUp = ({ mode, ready }: EngineStatus): boolean => ready || mode === 'read-only';

async function readProblem(session: Session, table: ServerTable | undefined, signal: AbortSignal): Promise<string | undefined> {
  try {
    if (table === undefined) await readCatalog(session, signal);
    else await countRows(session, table, signal);
    return undefined;
  } catch (error) {
    if (!(error instanceof SqlFailure)) throw error;
    return table === undefined ? `its catalog: ${error.message}` : `${table.database}.${table.table}: ${error.message}`;
  }
}
