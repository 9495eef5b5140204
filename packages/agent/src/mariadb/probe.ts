import { toStillpointError } from '@stillpoint/shared/errors';
import type { Clock } from '@stillpoint/shared/time';
import { readSources } from './position.ts';
import { type Account, openSession, type Session } from './session.ts';

/** What a client felt. */
export interface Felt {
  /** Its longest write, from asking to done, milliseconds. */
  readonly longestMs: number;
  readonly writes: number;
  /** Why it did not write to the end; undefined when it did. */
  readonly failure?: string;
}

/** A client that writes one row again and again. */
export interface Probe {
  /** Waits for the write that is under way, within bounds, and ends. Never throws. */
  finish(): Promise<Felt>;
}

/** How long the last write may take once writers go on, milliseconds. */
const LAST_WRITE_MS = 2_000;
/** Stillpoint's own table: one row, written again and again. */
export const PROBE_TABLE = { database: 'stillpoint', table: 'probe' } as const;

const TABLE = `${PROBE_TABLE.database}.${PROBE_TABLE.table}`;
const WRITE = `INSERT INTO ${TABLE} (id, writes) VALUES (1, 1) ON DUPLICATE KEY UPDATE writes = writes + 1`;

/** SQL that makes the table of the probe, once in a cluster (it replicates), and lets an account (quoted) write it. */
export const probeSql = (account: string): readonly string[] => [
  '-- The table of `backup create --probe`, which tells how long a client waits',
  `CREATE TABLE IF NOT EXISTS ${TABLE} (id TINYINT PRIMARY KEY, writes BIGINT NOT NULL) ENGINE=InnoDB;`,
  `GRANT SELECT, INSERT, UPDATE ON ${TABLE} TO ${account};`,
];

/**
 * Writes one row of `stillpoint.probe` every `everyMs` milliseconds, on a connection of its own: its longest write is what the still point costs
 * a client, by the client's own clock. Begins with a first write, so that whatever is missing is known before anybody waits. Undefined on a
 * server that replicates: a write of ours would be none of its source's. Throws SERVER_DOWN, ACCESS_DENIED, SqlFailure or the signal's reason.
 */
export async function startProbe(account: Account, everyMs: number, clock: Clock, signal: AbortSignal): Promise<Probe | undefined> {
  const session = await openSession(account, signal);
  try {
    if ((await readSources(session, signal)).length > 0) {
      await session.close();
      return undefined;
    }
    await session.query(WRITE, [], signal);
  } catch (error) {
    session.destroy();
    throw error;
  }
  const over = new AbortController();
  const felt = { longestMs: 0, writes: 1 };
  const writing = keepWriting(session, everyMs, clock, over.signal, felt);
  return {
    finish: async () => {
      over.abort();
      const late = new AbortController();
      const failure = await Promise.race([writing, clock.sleep(LAST_WRITE_MS, late.signal).then(() => STILL_WAITS)]).catch(() => undefined);
      late.abort();
      session.destroy();
      return failure === undefined ? felt : { ...felt, failure };
    },
  };
}

const STILL_WAITS = `its write still waits ${LAST_WRITE_MS / 1000} s after writers were let go`;

/** Gives why it ended early; undefined when it was ended. */
async function keepWriting(
  session: Session,
  everyMs: number,
  clock: Clock,
  over: AbortSignal,
  felt: { longestMs: number; writes: number },
): Promise<string | undefined> {
  try {
    while (!over.aborted) {
      await clock.sleep(everyMs, over).catch(() => undefined);
      const begunMs = clock.monotonicMs();
      await session.query(WRITE);
      felt.longestMs = Math.max(felt.longestMs, clock.monotonicMs() - begunMs);
      felt.writes += 1;
    }
    return undefined;
  } catch (error) {
    return toStillpointError(error).message;
  }
}
