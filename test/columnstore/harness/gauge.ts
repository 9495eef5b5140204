import { setTimeout as delay } from 'node:timers/promises';
import type { ColumnstoreNode } from './cluster.ts';

/** Rows of its table: enough to lie on every dbroot. */
const ROWS = 300;

/** A client that gives every row of a ColumnStore table a new number all the time, each time by one UPDATE: its rows are never of two minds. */
export interface Gauge {
  /** The number that was acknowledged last. */
  readonly acknowledged: number;
  /** The number that was sent last; higher while an UPDATE is under way. */
  readonly sent: number;
  /** Errors of statements since the last call. */
  errors(): readonly string[];
  /** Waits for the UPDATE under way and lets none follow until the function is called. */
  pause(): Promise<() => void>;
  stop(): Promise<void>;
}

/** Makes `shop.gauge` and starts the client through the server of this node. It goes on after errors. */
export async function startGauge(node: ColumnstoreNode): Promise<Gauge> {
  const rows = Array.from({ length: ROWS }, (_, index) => `(${index + 1}, 0)`).join(', ');
  await node.sql('CREATE TABLE shop.gauge (id INT, n BIGINT) ENGINE=ColumnStore', `INSERT INTO shop.gauge VALUES ${rows}`);
  let [acknowledged, sent] = [0, 0];
  const errors: string[] = [];
  let standing: { reached: () => void; goOn: () => void; over: Promise<void> } | undefined;
  let stopped = false;
  const ended = (async () => {
    while (!stopped) {
      sent += 1;
      try {
        await node.sql(`UPDATE shop.gauge SET n = ${sent}`);
        acknowledged = sent;
      } catch (error) {
        errors.push(error instanceof Error ? error.message : String(error));
      }
      standing?.reached();
      await standing?.over;
      await delay(200);
    }
  })();
  return {
    get acknowledged() {
      return acknowledged;
    },
    get sent() {
      return sent;
    },
    errors: () => errors.splice(0),
    pause: async () => {
      const reached = Promise.withResolvers<void>();
      const over = Promise.withResolvers<void>();
      standing = { reached: reached.resolve, goOn: over.resolve, over: over.promise };
      await reached.promise;
      return () => {
        standing = undefined;
        over.resolve();
      };
    },
    stop: async () => {
      stopped = true;
      standing?.goOn();
      await ended;
    },
  };
}

/** What its table holds, through the server of this node: how many rows, and the numbers of all. One number, unless a statement was torn. */
export async function readGauge(node: ColumnstoreNode): Promise<{ rows: number; least: number; most: number }> {
  const [row] = await node.sql('SELECT COUNT(*) AS held, MIN(n) AS least, MAX(n) AS most FROM shop.gauge');
  return { rows: Number(row?.held), least: Number(row?.least), most: Number(row?.most) };
}
