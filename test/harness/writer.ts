import { setTimeout as delay } from 'node:timers/promises';
import { type Connection, createConnection } from 'mysql2/promise';

/** One row of the writer, as the client saw it. Times by the wall clock of this machine, milliseconds since 1970. */
interface Write {
  readonly n: number;
  readonly sentAt: number;
  readonly acknowledgedAt: number;
}

/** What a client noticed within a window of time, milliseconds. */
export interface Window {
  readonly writes: number;
  /** Longest wait of one insert. */
  readonly longestMs: number;
  /** Longest time without an acknowledged insert, errors and reconnects included. */
  readonly longestGapMs: number;
  readonly medianMs: number;
  /** Inserts that ended in an error: a stall must never be one. */
  readonly errors: readonly string[];
}

/** A client that writes all the time: numbered rows into one table, one after the other. */
export interface Writer {
  /** Number of the last row that the server acknowledged. */
  readonly last: number;
  /** Rows acknowledged so far. */
  readonly written: number;
  /** Opens a window; calling it gives what happened since. */
  window(): () => Window;
  /** Numbers of acknowledged rows: acknowledged before `time`; sent within a stretch of it. Milliseconds since 1970. */
  acknowledgedBefore(time: number): number[];
  sentBetween(from: number, to: number): number[];
  /** Waits for the insert under way and lets none follow until the function is called. */
  pause(): Promise<() => void>;
  stop(): Promise<void>;
}

export interface WriterOptions {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** Pause between two inserts; 0 for none. Default 5 ms. */
  readonly pauseMs?: number;
  /** Number of its first row; writers side by side need different ones. Default 1. */
  readonly first?: number;
  /** Table of a number and a time. Default `shop.ticks`. */
  readonly table?: string;
}

export const TICKS_TABLE = 'CREATE TABLE IF NOT EXISTS shop.ticks (n BIGINT PRIMARY KEY, at DATETIME(6) NOT NULL) ENGINE=InnoDB';

/** Starts it. It survives restarts of the server: it connects again and goes on with the next number. */
export function startWriter(options: WriterOptions): Writer {
  const written: Write[] = [];
  const errors: { at: number; message: string }[] = [];
  let n = (options.first ?? 1) - 1;
  const stop = Promise.withResolvers<never>();
  let stopped = false;
  let connection: Connection | undefined;
  let standing: { reached: () => void; over: Promise<void> } | undefined;
  /** Since when the insert under way has been waiting. */
  let waitingSince: number | undefined;

  const ending = stop.promise.catch(() => undefined);
  const writeOne = async (): Promise<void> => {
    const sentAt = now();
    waitingSince = sentAt;
    try {
      connection ??= await connect(options);
      n += 1;
      // A query on a connection that is destroyed never settles.
      await Promise.race([connection.query(`INSERT INTO ${options.table ?? 'shop.ticks'} VALUES (?, NOW(6))`, [n]), stop.promise]);
      written.push({ n, sentAt, acknowledgedAt: now() });
    } catch (error) {
      if (!stopped) errors.push({ at: now(), message: error instanceof Error ? error.message : String(error) });
      connection?.destroy();
      connection = undefined;
      await delay(20);
    } finally {
      waitingSince = undefined;
    }
  };
  const ended = (async () => {
    while (!stopped) {
      await writeOne();
      standing?.reached();
      await Promise.race([standing?.over, ending]);
      if (options.pauseMs !== 0) await delay(options.pauseMs ?? 5);
    }
  })();

  return {
    get last() {
      return written.at(-1)?.n ?? 0;
    },
    get written() {
      return written.length;
    },
    window: () => {
      const openedAt = now();
      return () => summarise(written, errors, openedAt, waitingSince);
    },
    acknowledgedBefore: (time) => written.filter((write) => write.acknowledgedAt < time).map((write) => write.n),
    sentBetween: (from, to) => written.filter((write) => write.sentAt > from && write.sentAt < to).map((write) => write.n),
    pause: async () => {
      const reached = Promise.withResolvers<void>();
      const over = Promise.withResolvers<void>();
      standing = { reached: reached.resolve, over: over.promise };
      await reached.promise;
      return () => {
        standing = undefined;
        over.resolve();
      };
    },
    stop: async () => {
      stopped = true;
      stop.reject(new Error('stopped'));
      await ended;
      connection?.destroy();
    },
  };
}

const now = (): number => performance.timeOrigin + performance.now();

async function connect({ host, port, user, password }: WriterOptions): Promise<Connection> {
  const connection = await createConnection({ host, port, user, password, connectTimeout: 2_000 });
  // A server that dies between two inserts is told by the next insert.
  connection.on('error', () => undefined);
  return connection;
}

function summarise(
  written: readonly Write[],
  errors: readonly { at: number; message: string }[],
  openedAt: number,
  waitingSince: number | undefined,
): Window {
  const closedAt = now();
  const inside = written.filter((write) => write.acknowledgedAt >= openedAt);
  const waits = inside.map((write) => write.acknowledgedAt - write.sentAt);
  if (waitingSince !== undefined) waits.push(closedAt - waitingSince);
  const moments = [openedAt, ...inside.map((write) => write.acknowledgedAt), closedAt];
  const gaps = moments.slice(1).map((moment, index) => moment - (moments[index] ?? moment));
  return {
    writes: inside.length,
    longestMs: Math.max(0, ...waits),
    longestGapMs: Math.max(...gaps),
    medianMs: waits.toSorted((a, b) => a - b)[Math.floor(waits.length / 2)] ?? 0,
    errors: errors.filter((error) => error.at >= openedAt).map((error) => error.message),
  };
}
